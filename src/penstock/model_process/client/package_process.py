"""One package started in processes: for its first load, and whenever another process is wanted."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TypeAlias

from penstock.defaults import LOAD_TIMEOUT
from penstock.errors import SealBroken
from penstock.loading import LoadOptions, Proof
from penstock.machine.interpreters import Interpreter
from penstock.machine.throttle import is_throttled
from penstock.model_process.client.start import Launch, ModelProcessHandle, Started, start
from penstock.model_process.protocol.startup import ModelStarted, StartModel
from penstock.package import PackagedModel

log = logging.getLogger("penstock.model")

# Given a process that has been launched and loads.
OnLaunched: TypeAlias = Callable[[ModelProcessHandle], None]


def ignore(process: ModelProcessHandle) -> None:
    """For callers that end no process while it loads."""


class PackageStarter:
    """Starts processes that all prove the same package. `name` names it in the log; `slots` is how many unjoined
    requests one predicts at once, `memory_limit` the bytes that it may use (0: any), `timeout` the seconds that a load
    may take. Every process must find the package of `digest`, or, where that is empty, of the first process. `launch`
    is `start`'s."""

    def __init__(
        self,
        package: PackagedModel,
        options: LoadOptions,
        interpreter: Interpreter,
        name: str,
        *,
        slots: int = 1,
        memory_limit: int = 0,
        timeout: float = LOAD_TIMEOUT,
        digest: str = "",
        launch: Launch | None = None,
    ) -> None:
        self._path = package.path
        self._interpreter = interpreter
        self._name = name
        self._timeout = timeout
        self._launch = launch
        self._start_model = StartModel(
            str(package.path),
            options.trust_code,
            options.strict_env,
            options.flavor or "",
            options.threads,
            slots,
            memory_limit,
        )
        # The whole mutable state: the digest, once it is known.
        self._digest = digest

    def start(self, on_launched: OnLaunched = ignore) -> Started:
        """Another process, throttled where this thread is. Raises what loading raises, ModelProcessLost, and SealBroken
        where the package is another one now."""
        started = start(
            self._start_model,
            self._interpreter,
            self._log,
            throttled=is_throttled(),
            timeout=self._timeout,
            on_launched=on_launched,
            launch=self._launch,
        )
        self._digest = self._digest or started.digest
        if started.digest != self._digest:
            started.process.close()
            raise SealBroken(f"{self._path} is now another package ({started.digest[:12]}) than {self._digest[:12]}.")
        return started

    def _log(self, line: str) -> None:
        log.info("%s: %s", self._name, line)

    def __repr__(self) -> str:
        return f"<PackageStarter {self._name}, {self._digest[:12] or 'not started'}>"


def proof_of(model: ModelStarted) -> Proof:
    """What the process has proven."""
    return Proof(model.repeats, model.unjoined, model.warnings, model.not_lean)
