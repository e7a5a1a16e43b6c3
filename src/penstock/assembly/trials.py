"""The trials that come before loads, for one server: in the process that serves alone, or in the supervisor."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

from penstock.artifacts.proven import ProvenPackages
from penstock.assembly.packages import cache_of
from penstock.config import Settings
from penstock.metrics import Metrics
from penstock.serving.runners.trial import TrialOutcome, Trials


@contextmanager
def trials_of(settings: Settings, metrics: Metrics) -> Iterator[Trials]:
    """Ended when what serves has ended."""

    def count(model: str, outcome: TrialOutcome) -> None:
        metrics.load_trials.labels(model, outcome).inc()

    trials = Trials(ProvenPackages(cache_of(settings).root), count)
    try:
        yield trials
    finally:
        trials.close()


class Followers(Protocol):
    """What a server serves."""

    @property
    def follows(self) -> bool:
        """Whether a version may come without a change of the settings."""


def settle(trials: Trials, live: Followers) -> None:
    """Makes trials ready for promotions, or lets go of what only they would need."""
    if live.follows:
        asyncio.get_running_loop().run_in_executor(None, trials.warm_up)
    else:
        trials.rest()


def announced(announce: Callable[[str], None], trials: Trials, live: Followers) -> Callable[[str], None]:
    """What to do when all is served: say so, and be ready for what may come."""

    def ready(url: str) -> None:
        announce(url)
        settle(trials, live)

    return ready
