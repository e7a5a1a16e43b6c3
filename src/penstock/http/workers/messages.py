"""What a supervisor and a worker process say to each other about the process: its start, life, numbers and end.

What they say about models is in `serving.fleet.messages`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

# -- supervisor to worker ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class StartWorker:
    """The first message: the worker's number, and the settings, which are not for a command line that others can
    read."""

    number: int
    settings: dict[str, Any]
    import_path: list[str]


@dataclass(frozen=True, slots=True)
class AcceptConnections:
    """Take connections from now on."""


@dataclass(frozen=True, slots=True)
class AdmitTokens:
    """Let in the holders of these tokens from now on: the text of the file of tokens, which holds digests alone."""

    text: str


@dataclass(frozen=True, slots=True)
class WorkerCount:
    """How many workers serve now, of how many."""

    serving: int
    wanted: int


@dataclass(frozen=True, slots=True)
class CollectMetrics:
    """Report your metrics."""


@dataclass(frozen=True, slots=True)
class AllMetrics:
    """The answer to a Scrape: the metrics of all workers, in Prometheus' text format."""

    id: int
    text: str


@dataclass(frozen=True, slots=True)
class Drain:
    """Not ready from now on; accept for `delay` seconds more, finish what is in flight, and end."""

    delay: float


# -- both ways ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """The supervisor asks for a sign of life; the worker answers with the same message."""


# -- worker to supervisor ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class WorkerStarted:
    """The worker is ready for commands."""


@dataclass(frozen=True, slots=True)
class WorkerMetrics:
    """The answer to CollectMetrics, and a worker's last message: its metrics, as metrics.aggregate.to_plain gives
    them."""

    families: list[Any]


@dataclass(frozen=True, slots=True)
class Scrape:
    """A client asks this worker for the metrics of all workers."""

    id: int


ProcessMessage: TypeAlias = (
    StartWorker
    | AcceptConnections
    | AdmitTokens
    | WorkerCount
    | CollectMetrics
    | AllMetrics
    | Drain
    | Heartbeat
    | WorkerStarted
    | WorkerMetrics
    | Scrape
)
