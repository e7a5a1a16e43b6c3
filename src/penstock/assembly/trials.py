"""The trials that come before loads, for one server: in the process that serves alone, or in the supervisor."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from penstock.artifacts.proven import ProvenPackages
from penstock.assembly.packages import cache_of
from penstock.config import Settings
from penstock.metrics import Metrics
from penstock.registry.references import ModelReference
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


def announced(
    announce: Callable[[str], None], trials: Trials, references: Sequence[ModelReference]
) -> Callable[[str], None]:
    """What to do when all is served: say so, and be ready for promotions, or let go of what only they would need."""

    def ready(url: str) -> None:
        announce(url)
        if any(reference.follows or reference.is_pattern for reference in references):
            asyncio.get_running_loop().run_in_executor(None, trials.warm_up)
        else:
            trials.close()

    return ready
