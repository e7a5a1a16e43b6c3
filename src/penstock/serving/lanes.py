"""Which waiting jobs go together next. Pure bookkeeping: no clock, no event loop, no model.

One lane for each layout (kind, names, dtypes, trailing shapes, params): only jobs of a lane may be joined. The lane
whose head has waited longest goes first, so no layout starves. Lanes exist only while something waits in them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable
from dataclasses import dataclass
from heapq import heappop, heappush
from typing import Any, Literal, Protocol, TypeAlias

from penstock.payload import Params, Payload

DispatchReason: TypeAlias = Literal["idle", "freed", "full", "alone"]


class Reply(Protocol):
    """As much of a future as lanes look at: a job whose reply is done already is skipped."""

    def done(self) -> bool: ...


class Job:
    """Rows of one caller, waiting for their answer. `number` orders jobs by arrival; a lane sets it."""

    __slots__ = ("enqueued", "lane", "number", "params", "payload", "reply", "room", "rows")

    def __init__(self, payload: Payload, params: Params, reply: Any, enqueued: float) -> None:
        self.payload = payload
        self.params = params
        self.reply = reply
        self.enqueued = enqueued
        self.number = 0
        rows = payload.rows
        self.rows = 0 if rows is None else rows
        self.room = self.rows or 1  # what it takes up in the queue, which would have no bound for jobs without rows
        # A job without rows to join goes alone: a lane key that equals nothing else.
        self.lane: Hashable = (payload.layout, _params_key(params)) if rows else self

    def __repr__(self) -> str:
        return f"<Job {self.number}: {self.rows} rows>"


def _params_key(params: Params) -> str:
    """Equal for equal params. Not JSON, in which NaN, infinity and none at all are one null."""
    return "" if params is None else repr(sorted(params.items()))


@dataclass(frozen=True, slots=True)
class Batch:
    """Jobs to run together, and why now."""

    jobs: list[Job]
    rows: int
    reason: DispatchReason


class Lanes:
    """Waiting jobs. `rows` is how many rows wait: a job without any counts as one, and those of departed callers count
    until they are passed over."""

    def __init__(self) -> None:
        # The whole state: jobs by lane, oldest first; each lane's key by the number of its head; rows waiting; the
        # last job number.
        self._lanes: dict[Hashable, deque[Job]] = {}
        self._heads: list[tuple[int, Hashable]] = []
        self.rows = 0
        self._last = 0

    def add(self, job: Job) -> None:
        self._last += 1
        job.number = self._last
        if job.lane not in self._lanes:
            self._lanes[job.lane] = deque()
            heappush(self._heads, (job.number, job.lane))
        self._lanes[job.lane].append(job)
        self.rows += job.room

    def take(self, max_rows: int, trigger: DispatchReason, *, joined: bool) -> Batch | None:
        """The next batch of at most `max_rows` rows, or None where nothing waits.

        Its reason is "full" where more could have come along, "alone" where joining is not possible, else `trigger`.
        """
        while self._heads:
            number, key = heappop(self._heads)
            self._drop_departed(key)
            if key not in self._lanes:
                continue
            if (head := self._lanes[key][0].number) != number:  # it has not waited longest: the one that did has left
                heappush(self._heads, (head, key))
                continue
            return self._take_from(key, max_rows, trigger, joined)
        return None

    def _take_from(self, key: Hashable, max_rows: int, trigger: DispatchReason, joined: bool) -> Batch:
        """A batch from the head of this lane, whose entry in `_heads` is gone already."""
        lane = self._lanes[key]
        jobs = [lane.popleft()]
        rows = jobs[0].rows
        alone = not joined or isinstance(key, Job)
        self._drop_departed(key)
        while lane and not alone and rows + lane[0].rows <= max_rows:
            jobs.append(lane.popleft())
            rows += jobs[-1].rows
            self._drop_departed(key)
        self.rows -= sum(job.room for job in jobs)
        if lane:
            heappush(self._heads, (lane[0].number, key))
        return Batch(jobs, rows, "alone" if alone else "full" if lane or rows >= max_rows else trigger)

    def _drop_departed(self, key: Hashable) -> None:
        """Passes over the jobs at a lane's head that nobody waits for; a lane without any more is gone."""
        lane = self._lanes[key]
        while lane and lane[0].reply.done():
            self.rows -= lane.popleft().room
        if not lane:
            del self._lanes[key]

    def clear(self) -> list[Job]:
        """Takes everything out; returns the jobs that still wait for an answer."""
        jobs = [job for lane in self._lanes.values() for job in lane if not job.reply.done()]
        self._lanes.clear()
        self._heads.clear()
        self.rows = 0
        return jobs

    def __repr__(self) -> str:
        waiting = sum(len(lane) for lane in self._lanes.values())
        return f"<Lanes {waiting} jobs, {self.rows} rows in {len(self._lanes)} lanes>"
