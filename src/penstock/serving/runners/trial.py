"""A trial: a package that is to run in this process, or in every worker, is loaded and proven in one of its own first.

What crashes, hangs or takes all memory there is a version that is refused. A package that was proven before, with the
libraries that there are now, is not tried again: notes beside the packages in the cache say so.
"""

from __future__ import annotations

import logging
import platform
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal, TypeAlias

from penstock.artifacts.proven import ProvenPackages
from penstock.errors import ModelProcessLost
from penstock.flavors import Flavor
from penstock.loading import LoadOptions, Timed
from penstock.machine.available_memory import available_bytes
from penstock.machine.interpreters import Interpreter, own_interpreter
from penstock.machine.throttle import is_throttled
from penstock.model_process.client.forks import ModelProcessForks
from penstock.model_process.client.package_process import OnLaunched, PackageStarter
from penstock.model_process.client.start import END_SECONDS, Launch, ModelProcessHandle, OnLine
from penstock.package import PackagedModel
from penstock.package.environment import installed_version
from penstock.serving.runners.isolation import Isolation, runs_apart
from penstock.version import __version__

log = logging.getLogger("penstock.model")

# How a trial went: proven now, or before; refused with an error, or by how the process ended.
TrialOutcome: TypeAlias = Literal["proven", "known", "refused", "lost"]

# What loading and predicting pass through, beside what the flavor names.
_LIBRARIES = ("numpy", "scipy", "scikit-learn", "joblib", "threadpoolctl", "skops", "onnxruntime", "pandas", "pyarrow")

# Where no limit is set: what a package of data may take, and for each byte of it, packed as it may be.
_MEMORY = 2 << 30
_MEMORY_PER_BYTE = 16

# And of the memory that there is to have, this share: what serves goes on in the rest.
_SHARE = 0.85
_LEAST_MEMORY = 256 << 20


class Trials:
    """The trials of one server. `proven` are the notes of its cache. Closed after all that loads has ended."""

    def __init__(self, proven: ProvenPackages, count: Callable[[str, TrialOutcome], None]) -> None:
        self.proven = proven
        self.count = count
        self._forks = ModelProcessForks()
        # The whole mutable state: the flavors that were seen, which a next package is likely to have; how many trials
        # are under way, and whether no other is expected for long.
        self._lock = threading.Lock()
        self._flavors: set[str] = set()
        self._under_way = 0
        self._rests = False

    def of(self, model: str, options: LoadOptions, isolation: Isolation) -> Trial:
        """For the packages of one model."""
        return Trial(self, model, options, isolation)

    def launch_for(self, flavor: Flavor) -> Launch | None:
        """How a process for a package of this flavor begins; None where there is nothing better than a start from
        nothing."""
        with self._lock:
            self._flavors.add(flavor.name)
        return partial(self._launch, flavor.name) if sys.platform == "linux" else None

    def _launch(self, flavor: str, _: Interpreter, on_line: OnLine, throttled: bool) -> ModelProcessHandle:
        """Instead of rests it has low priority."""
        return self._forks.launch([flavor], on_line, beside_requests=throttled)

    def warm_up(self) -> None:
        """What trials of the flavors that were seen need is imported, for promotions to come."""
        with self._lock:
            self._rests = False
            flavors = set(self._flavors)
        if flavors and sys.platform == "linux":
            self._forks.warm_up(flavors)

    def rest(self) -> None:
        """None is to be expected for long: what they begin from goes, now and after each that comes all the same."""
        with self._lock:
            self._rests = True
        self._end_if_resting()

    @contextmanager
    def running(self) -> Iterator[None]:
        """While one is under way, what it began from stays."""
        with self._lock:
            self._under_way += 1
        try:
            yield
        finally:
            with self._lock:
                self._under_way -= 1
            self._end_if_resting()

    def _end_if_resting(self) -> None:
        with self._lock:
            ends = self._rests and not self._under_way
        if ends:
            self._forks.end()

    def close(self) -> None:
        self._forks.close()

    def __repr__(self) -> str:
        return f"<Trials with {self._forks!r}>"


@dataclass(frozen=True, slots=True)
class Trial:
    """The trials of one model's packages, loaded as these options say."""

    trials: Trials
    model: str
    options: LoadOptions
    isolation: Isolation

    def run(
        self, package: PackagedModel, label: str, timed: Timed, launched: OnLaunched, *, loads_next: bool = False
    ) -> None:
        """Returns when the package is proven, or where it is to run apart, which proves it in the very process. Blocks;
        `launched` is given the process. `loads_next` says that this process loads the package then: it imports what
        that needs meanwhile. Raises what loading raises, and ModelProcessLost."""
        if runs_apart(package, self.options, self.isolation.mode):
            return
        flavor = package.flavor(self.options.flavor)
        launch = self.trials.launch_for(flavor)
        versions = self._versions(flavor)
        if self._is_data and self.trials.proven.knows(package.digest, versions):
            self.trials.count(self.model, "known")
            return
        outcome: TrialOutcome = "refused"
        try:
            with timed("trial"), self.trials.running():
                seconds = self._try(package, label, launch, _preloading(flavor, launched) if loads_next else launched)
            outcome = "proven"
        except ModelProcessLost:
            outcome = "lost"
            raise
        finally:
            self.trials.count(self.model, outcome)
        log.info("%s: loaded and proven in a process of its own, in %.1f s.", label, seconds)
        if self._is_data:
            self.trials.proven.add(package.digest, versions)

    @property
    def _is_data(self) -> bool:
        """Whether what is tried is data alone. What code of its own does depends on more than on versions, and what
        memory it takes on more than on the package's size."""
        return not (self.options.trust_code and self.isolation.mode == "none")

    def _try(self, package: PackagedModel, label: str, launch: Launch | None, launched: OnLaunched) -> float:
        """Seconds that it took."""
        starter = PackageStarter(
            package,
            replace(self.options, threads=1),
            own_interpreter(),
            label,
            memory_limit=self.isolation.memory_limit or memory_for(package.size_bytes if self._is_data else None),
            timeout=self.isolation.load_timeout,
            digest=package.digest,
            launch=launch,
        )
        started = starter.start(launched)
        started.process.close()
        with suppress(TimeoutError):  # what it took is to be free again before the package is loaded here
            started.process.ended.result(timeout=END_SECONDS)
        return started.seconds

    def _versions(self, flavor: Flavor) -> Mapping[str, str]:
        """All that an earlier proof rests on."""
        names = {*_LIBRARIES, *flavor.distributions}
        found = {name: installed_version(name) or "" for name in sorted(names)}
        return {
            "penstock": __version__,
            "python": f"{platform.python_implementation()} {platform.python_version()}",
            "machine": f"{platform.system()} {platform.machine()}",
            "flavor": flavor.name,
            **found,
        }


def _preloading(flavor: Flavor, launched: OnLaunched) -> OnLaunched:
    """Uses the time in which the process imports the same. Not beside requests, which would wait for it."""

    def began(process: ModelProcessHandle) -> None:
        launched(process)
        if not is_throttled():
            with suppress(Exception):  # loading meets the error, and has words for it
                flavor.preload()

    return began


def memory_for(size: int | None) -> int:
    """Bytes that the trial of a package of so many bytes may take; None for one whose size says nothing. 0 is no limit,
    where nobody knows what there is to have."""
    available = available_bytes()
    limits = [] if size is None else [_MEMORY + _MEMORY_PER_BYTE * size]
    if available is not None:
        limits.append(max(int(available * _SHARE), _LEAST_MEMORY))
    return min(limits, default=0)
