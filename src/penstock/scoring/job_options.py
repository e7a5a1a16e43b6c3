"""What one run of a scoring job is given: where it writes, how it is carried out, and whom it tells how far it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO

from penstock.scoring.plan import WHOLE, Shard
from penstock.scoring.rejects import ANY_NUMBER, Tolerance
from penstock.scoring.score.workers import Workers


@dataclass(frozen=True, slots=True)
class JobOutput:
    """Where a job writes: a directory of parts, one file, or an open stream; and its rejects."""

    path: str
    directory: bool = False
    stream: BinaryIO | None = None
    rejects: str | None = None


@dataclass(frozen=True, slots=True)
class JobOptions:
    """How one run carries a job out. What shapes the rows that are written is in the plan instead.

    `shard` is the run's share of the parts, `resume` says that a run before it may have left some, `workers` is how
    many predict ("auto": as many as pay), and `tolerance` is how many rejects the job bears.
    """

    shard: Shard = WHOLE
    resume: bool = False
    workers: str | int = "auto"
    tolerance: Tolerance = ANY_NUMBER


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a job is: rows read and rejected in this run, rows done before it, and the share of the input that is
    read (0 to 1)."""

    rows: int
    rejects: int
    share: float


@dataclass(frozen=True, slots=True)
class JobControl:
    """Whoever started a run, as the run sees them: told of the workers and of the parts that are done already when it
    starts, told of the progress after every chunk, and then asked whether it is to stop."""

    on_start: Callable[[Workers, int], None] = lambda workers, parts: None
    on_progress: Callable[[Progress], None] = lambda progress: None
    stopped: Callable[[], bool] = lambda: False
