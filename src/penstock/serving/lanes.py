"""Which waiting jobs go together next. Pure bookkeeping: no clock, no event loop, no model.

One lane for each layout (kind, names, dtypes, trailing shapes, params): only jobs of a lane may be joined. The lane
whose head has waited longest goes first, so no layout starves. Lanes exist only while something waits in them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeAlias

import orjson

from penstock.payload import Payload

DispatchReason: TypeAlias = Literal["idle", "freed", "full", "alone"]


class Reply(Protocol):
    """As much of a future as lanes look at: a job whose reply is done already is skipped."""

    def done(self) -> bool: ...


class Job:
    """Rows of one caller, waiting for their answer. `number` orders jobs by arrival; a lane sets it."""

    __slots__ = ("enqueued", "lane", "number", "params", "payload", "reply", "rows")

    def __init__(self, payload: Payload, params: Mapping[str, Any], reply: Any, enqueued: float) -> None:
        self.payload = payload
        self.params = params
        self.reply = reply
        self.enqueued = enqueued
        self.number = 0
        rows = payload.rows
        self.rows = 0 if rows is None else rows
        # A job without rows to join goes alone: a lane key that equals nothing else.
        self.lane: Hashable = (payload.layout, _params_key(params)) if rows else self

    def __repr__(self) -> str:
        return f"<Job {self.number}: {self.rows} rows>"


def _params_key(params: Mapping[str, Any]) -> bytes:
    return (
        orjson.dumps(params, option=orjson.OPT_SORT_KEYS | orjson.OPT_SERIALIZE_NUMPY, default=repr) if params else b""
    )


@dataclass(frozen=True, slots=True)
class Batch:
    """Jobs to run together, and why now."""

    jobs: list[Job]
    rows: int
    reason: DispatchReason


class Lanes:
    """Waiting jobs. `rows` is how many rows wait, those of departed callers included until they are passed over."""

    def __init__(self) -> None:
        # The whole state: jobs by lane, oldest first; rows waiting; the last job number.
        self._lanes: dict[Hashable, deque[Job]] = {}
        self.rows = 0
        self._last = 0

    def add(self, job: Job) -> None:
        self._last += 1
        job.number = self._last
        self._lanes.setdefault(job.lane, deque()).append(job)
        self.rows += job.rows

    def take(self, max_rows: int, trigger: DispatchReason, *, joined: bool) -> Batch | None:
        """The next batch of at most `max_rows` rows, or None where nothing waits.

        Its reason is "full" where more could have come along, "alone" where joining is not possible, else `trigger`.
        """
        while self._lanes:
            key = min(self._lanes, key=lambda k: self._lanes[k][0].number)
            batch = self._take_from(key, max_rows, trigger, joined)
            if batch is not None:
                return batch
        return None

    def _take_from(self, key: Hashable, max_rows: int, trigger: DispatchReason, joined: bool) -> Batch | None:
        lane = self._lanes[key]
        jobs: list[Job] = []
        rows = 0
        alone = not joined or isinstance(key, Job)
        while lane and (not jobs or (not alone and rows + lane[0].rows <= max_rows)):
            job = lane.popleft()
            self.rows -= job.rows
            if not job.reply.done():
                jobs.append(job)
                rows += job.rows
        full = bool(lane)
        if not lane:
            del self._lanes[key]
        if not jobs:
            return None
        return Batch(jobs, rows, "alone" if alone else "full" if full or rows >= max_rows else trigger)

    def clear(self) -> list[Job]:
        """Takes everything out; returns the jobs that still wait for an answer."""
        jobs = [job for lane in self._lanes.values() for job in lane if not job.reply.done()]
        self._lanes.clear()
        self.rows = 0
        return jobs

    def __repr__(self) -> str:
        waiting = sum(len(lane) for lane in self._lanes.values())
        return f"<Lanes {waiting} jobs, {self.rows} rows in {len(self._lanes)} lanes>"
