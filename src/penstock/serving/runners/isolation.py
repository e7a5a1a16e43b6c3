"""A package loaded into processes of its own, or into this one: which, and how."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeAlias

from penstock.artifacts import PackageHold, hold
from penstock.defaults import LOAD_TIMEOUT, TIMEOUT
from penstock.errors import SealBroken
from penstock.loading import LoadedModel, LoadOptions, Proof, Timed, load_package, untimed
from penstock.loading.placement import IsolationMode, Placement, place
from penstock.machine import interpreters
from penstock.machine.cores import THREAD_VARIABLES
from penstock.machine.interpreters import Interpreter
from penstock.model_process.client.package_process import OnLaunched, PackageStarter, ignore, proof_of
from penstock.model_process.client.start import Started
from penstock.package import PackagedModel
from penstock.signature import Signature

log = logging.getLogger("penstock.model")

# A predict that takes so many seconds longer than a request may is taken for hung.
GRACE = 5.0


def own_interpreter(_: PackagedModel) -> Interpreter:
    return interpreters.own_interpreter()


@dataclass(frozen=True, slots=True)
class Isolation:
    """Where packages run. `instances` is how many processes a version has, `memory_limit` the bytes that each may
    use (0: any), `threads` how many its libraries may compute with (0: as they like), `slots` how many unjoined
    requests one predicts at once, `time_limit` the seconds after which one that does not answer is replaced,
    `load_timeout` the seconds in which one must have proven its package. `interpreter` gives the Python for a package;
    it may take its time."""

    mode: IsolationMode = "auto"
    instances: int = 1
    memory_limit: int = 0
    threads: int = 0
    slots: int = 1
    time_limit: float = TIMEOUT + GRACE
    load_timeout: float = LOAD_TIMEOUT
    interpreter: Callable[[PackagedModel], Interpreter] = own_interpreter


@dataclass(frozen=True, slots=True)
class IsolatedModel:
    """A package proven in processes of its own, which do not answer yet. `again` starts another such process."""

    package: PackagedModel
    digest: str
    proof: Proof
    takes_frames: bool
    slots: int
    time_limit: float
    started: Sequence[Started] = field(repr=False)
    again: Callable[[OnLaunched], Started] = field(repr=False)
    override: str | None = None  # the flavor that was asked for, where it is not the package's own choice
    hold: PackageHold = field(
        default_factory=PackageHold, repr=False, compare=False
    )  # for processes that are started again
    cyclic = False  # nothing of it is in this process

    @property
    def flavor(self) -> str:
        """The name of the flavor that answers."""
        return self.package.flavor(self.override).name

    @property
    def signature(self) -> Signature | None:
        return self.package.manifest.signature

    def close(self) -> None:
        for started in self.started:
            started.process.close()
        self.hold.close()


# A version that can be served.
Loaded: TypeAlias = LoadedModel | IsolatedModel


def load_served(
    path: str | Path,
    options: LoadOptions,
    isolation: Isolation,
    label: str = "",
    timed: Timed = untimed,
    launched: OnLaunched = ignore,
    digest: str = "",
) -> Loaded:
    """Loads and proves the package in a directory, here or apart. `label` names it in the log, `launched` is given each
    process, once it has begun; `digest` is that of the package that was tried before, where one was. Raises what
    load_path raises, ModelProcessLost, and SealBroken where another package lies there by now."""
    package = PackagedModel.open(path)
    if digest and package.digest != digest:
        raise SealBroken(f"{path} is now another package ({package.digest[:12]}) than {digest[:12]}.")
    placement = placement_of(package, options, isolation.mode)
    if not placement.apart:
        return replace(load_package(package, options, timed=timed), bounded=placement.bounded)
    log.info("%s runs %s.", label or package.path.name, placement)
    held = hold(package.path)
    try:
        with timed("environment") if isolation.interpreter is not own_interpreter else nullcontext():
            interpreter = isolation.interpreter(package)
        with timed("load"):  # which verifies and proves there, too
            return _load_apart(package, options, isolation, interpreter, label or package.path.name, held, launched)
    except BaseException:
        held.close()
        raise


def placement_of(package: PackagedModel, options: LoadOptions, mode: IsolationMode) -> Placement:
    """Where a package runs. Code that is not trusted is refused before it runs anywhere. Raises FlavorUnknown,
    PackageInvalid, ArtifactInvalid, CodeNotTrusted."""
    if not options.trust_code:
        package.check_trust(options.flavor)
    return place(package, mode, options.flavor)


def runs_apart(package: PackagedModel, options: LoadOptions, mode: IsolationMode) -> bool:
    """Whether a package gets a process of its own. Raises what placement_of does."""
    return placement_of(package, options, mode).apart


def _load_apart(
    package: PackagedModel,
    options: LoadOptions,
    isolation: Isolation,
    interpreter: Interpreter,
    label: str,
    held: PackageHold,
    launched: OnLaunched,
) -> IsolatedModel:
    if isolation.threads:
        shares = dict.fromkeys(THREAD_VARIABLES, str(isolation.threads))
        interpreter = replace(interpreter, variables={**shares, **interpreter.variables})
        options = replace(options, threads=isolation.threads)
    starter = PackageStarter(
        package,
        options,
        interpreter,
        label,
        slots=isolation.slots,
        memory_limit=isolation.memory_limit,
        timeout=isolation.load_timeout,
    )
    started = _start_all(lambda: starter.start(launched), isolation.instances)
    first = started[0]
    model = first.model
    slots = isolation.slots if model.unjoined else 1
    return IsolatedModel(
        package,
        first.digest,
        proof_of(model),
        model.takes_frames,
        slots,
        isolation.time_limit,
        started,
        starter.start,
        options.flavor,
        held,
    )


def _start_all(start_one: Callable[[], Started], count: int) -> list[Started]:
    """All or none; the first one alone, since a package that cannot be loaded need not fail several times."""
    started = [start_one()]
    try:
        with ThreadPoolExecutor(max_workers=max(1, count - 1)) as pool:
            tries = [pool.submit(start_one) for _ in range(count - 1)]
        failed = [t.exception() for t in tries if t.exception() is not None]
        started += [t.result() for t in tries if t.exception() is None]
        if failed:
            raise failed[0]  # type: ignore[misc]
    except BaseException:
        for one in started:
            one.process.close()
        raise
    return started
