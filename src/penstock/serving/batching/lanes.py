"""Which waiting jobs go together next. Pure bookkeeping: no clock, no event loop, no model.

One lane for each layout (kind, names, dtypes, trailing shapes, params): only jobs of a lane may be joined. The lane
whose head has waited longest goes first, so no layout starves. Lanes exist only while something waits in them.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass
from heapq import heapify, heappop, heappush
from math import inf
from typing import Any, Literal, TypeAlias

from penstock.payload import Params, Payload

DispatchReason: TypeAlias = Literal["idle", "freed", "full", "alone"]


class _Alone:
    """The lane of a job without rows to join: a key that equals nothing else."""


class Job:
    """Rows of one caller, waiting for their answer, which is of no use after `deadline`. `number` orders jobs by
    arrival; a lane sets it."""

    __slots__ = ("deadline", "enqueued", "lane", "number", "params", "payload", "reply", "room", "rows")

    def __init__(self, payload: Payload, params: Params, reply: Any, enqueued: float, deadline: float = inf) -> None:
        self.payload = payload
        self.params = params
        self.reply = reply
        self.enqueued = enqueued
        self.deadline = deadline
        self.number = 0
        rows = payload.rows
        self.rows = 0 if rows is None else rows
        self.room = self.rows or 1  # what it takes up in the queue, which would have no bound for jobs without rows
        self.lane: Hashable = (payload.layout, _params_key(params)) if rows else _Alone()

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

    @property
    def deadline(self) -> float:
        """The earliest of its jobs'."""
        return min([job.deadline for job in self.jobs])

    def of(self, jobs: list[Job]) -> Batch:
        """The same with these of its jobs alone."""
        return Batch(jobs, sum(job.rows for job in jobs), self.reason)


class _Lane:
    """The jobs of one layout by number, oldest first, and the number under which the lane stands among the heads."""

    __slots__ = ("entry", "jobs")

    def __init__(self, entry: int) -> None:
        self.entry = entry
        self.jobs: OrderedDict[int, Job] = OrderedDict()

    @property
    def head(self) -> Job:
        return next(iter(self.jobs.values()))


# Entries of lanes that are gone may stay among the heads, this many more than there are lanes.
_STALE = 64


class Lanes:
    """Waiting jobs. `rows` is how many rows wait, a job without any counting as one, and `jobs` how many jobs."""

    def __init__(self) -> None:
        # The whole state: jobs by lane; the lanes' keys by the number of a head, which may be out of date; rows and
        # jobs waiting; the last job number.
        self._lanes: dict[Hashable, _Lane] = {}
        self._heads: list[tuple[int, Hashable]] = []
        self.rows = 0
        self.jobs = 0
        self._last = 0

    def add(self, job: Job) -> None:
        self._last = number = self._last + 1
        job.number = number
        lane = self._lanes.get(job.lane)
        if lane is None:
            lane = self._lanes[job.lane] = _Lane(number)
            heappush(self._heads, (number, job.lane))
        lane.jobs[number] = job
        self.rows += job.room
        self.jobs += 1

    def remove(self, key: Hashable, number: int) -> bool:
        """Takes out a job whose caller has left, by its lane and number; False where it does not wait any more."""
        lane = self._lanes.get(key)
        job = lane.jobs.pop(number, None) if lane is not None else None
        if lane is None or job is None:
            return False
        self.rows -= job.room
        self.jobs -= 1
        if not lane.jobs:
            del self._lanes[key]
            if len(self._heads) > len(self._lanes) + _STALE:
                self._heads = [(lane.entry, key) for key, lane in self._lanes.items()]
                heapify(self._heads)
        return True

    def take(self, max_rows: int, trigger: DispatchReason, *, joined: bool) -> Batch | None:
        """The next batch of at most `max_rows` rows, or None where nothing waits.

        Its reason is "full" where more could have come along, "alone" where joining is not possible, else `trigger`.
        """
        while self._heads:
            number, key = heappop(self._heads)
            lane = self._lanes.get(key)
            if lane is None or lane.entry != number:
                continue  # of a lane that is gone; a new one of its layout has an entry of its own
            if (head := lane.head.number) == number:
                return self._take_from(key, lane, max_rows, trigger, joined)
            lane.entry = head  # it has not waited longest: the one that did has left
            heappush(self._heads, (head, key))
        return None

    def _take_from(self, key: Hashable, lane: _Lane, max_rows: int, trigger: DispatchReason, joined: bool) -> Batch:
        """A batch from the head of this lane, whose entry in `_heads` is gone already."""
        waiting = lane.jobs
        jobs = [waiting.popitem(last=False)[1]]
        rows = jobs[0].rows
        room = jobs[0].room
        alone = not joined or isinstance(key, _Alone)
        while waiting and not alone:
            number, job = waiting.popitem(last=False)
            if rows + job.rows > max_rows:
                waiting[number] = job
                waiting.move_to_end(number, last=False)
                break
            jobs.append(job)
            rows += job.rows
            room += job.room
        self.rows -= room
        self.jobs -= len(jobs)
        if waiting:
            lane.entry = lane.head.number
            heappush(self._heads, (lane.entry, key))
        else:
            del self._lanes[key]
        return Batch(jobs, rows, "alone" if alone else "full" if waiting or rows >= max_rows else trigger)

    def clear(self) -> list[Job]:
        """Takes everything out, and returns it."""
        jobs = [job for lane in self._lanes.values() for job in lane.jobs.values()]
        self._lanes.clear()
        self._heads.clear()
        self.rows = self.jobs = 0
        return jobs

    def __repr__(self) -> str:
        return f"<Lanes {self.jobs} jobs, {self.rows} rows in {len(self._lanes)} lanes>"
