"""The recorded requests, by what they are about. Each group is asked of a hub that has nothing yet."""

from __future__ import annotations

from collections.abc import Callable

from hub.recorded import malformed, searches, tracking
from hub.recorded.player import Asked

GROUPS: dict[str, Callable[[], list[Asked]]] = {
    "experiments": tracking.experiments,
    "runs": tracking.runs,
    "metrics": tracking.metrics,
    "inputs": tracking.inputs,
    "logged_models": tracking.logged_models,
    "run_searches": searches.runs,
    "experiment_searches": searches.experiments,
    "artifacts": searches.artifacts,
    "malformed": malformed.requests,
}

# What lists all that a server has is recorded with a server of its own.
ALONE = frozenset({"experiments", "experiment_searches", "malformed"})
