"""Which waiting jobs go together next. Pure bookkeeping: no clock, no event loop, no model.

One lane for each layout (kind, names, dtypes, trailing shapes, params): only jobs of a lane may be joined. The lane
whose head has waited longest goes first, so no layout starves. Lanes exist only while something waits in them.
Requests larger than a batch wait apart: while both wait, batches and parts of large requests alternate.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass
from heapq import heapify, heappop, heappush
from typing import Literal, TypeAlias

from penstock.serving.batching.jobs import Alone, Job
from penstock.serving.batching.large_requests import LargeRequest, LargeRequests

DispatchReason: TypeAlias = Literal["idle", "freed", "full", "alone"]


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
    """Waiting jobs. `rows` is how many rows wait, a job without any counting as one, and `jobs` how many jobs, a large
    request being one; `large` has those."""

    def __init__(self) -> None:
        # The whole state: jobs by lane; the lanes' keys by the number of a head, which may be out of date; large
        # requests; rows and jobs waiting; the last job number.
        self._lanes: dict[Hashable, _Lane] = {}
        self._heads: list[tuple[int, Hashable]] = []
        self.large = LargeRequests()
        self.rows = 0
        self.jobs = 0
        self._last = 0

    def add(self, job: Job) -> None:
        self._last = number = self._last + 1
        job.number = number
        self.rows += job.room
        self.jobs += 1
        if job.large:
            assert isinstance(job, LargeRequest)
            self.large.add(job)
            return
        lane = self._lanes.get(job.lane)
        if lane is None:
            lane = self._lanes[job.lane] = _Lane(number)
            heappush(self._heads, (number, job.lane))
        lane.jobs[number] = job

    def remove(self, key: Hashable, number: int) -> bool:
        """Takes out a job whose caller has left, by its lane and number; False where it does not wait any more."""
        if self.large.waiting and (request := self.large.remove(number)) is not None:
            self.rows -= request.room
            self.jobs -= 1
            return True
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
        if self.large.waiting and self.large.has_turn(others=self.jobs > len(self.large.waiting)):
            return self._take_part(max_rows, trigger, joined)
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

    def _take_part(self, max_rows: int, trigger: DispatchReason, joined: bool) -> Batch:
        """The next part of a large request; all of one where joining has turned out not to be possible."""
        if not joined:
            request = self.large.take_whole()
            self.rows -= request.room
            self.jobs -= 1
            request.restart()
            return Batch([request], request.rows, "alone")
        request, part = self.large.take(max_rows)
        self.rows -= part.rows
        self.jobs -= not request.room
        return Batch([part], part.rows, "full" if request.room or part.rows >= max_rows else trigger)

    def _take_from(self, key: Hashable, lane: _Lane, max_rows: int, trigger: DispatchReason, joined: bool) -> Batch:
        """A batch from the head of this lane, whose entry in `_heads` is gone already."""
        waiting = lane.jobs
        jobs = [waiting.popitem(last=False)[1]]
        rows = jobs[0].rows
        room = jobs[0].room
        alone = not joined or isinstance(key, Alone)
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
        jobs += self.large.clear()
        self._lanes.clear()
        self._heads.clear()
        self.rows = self.jobs = 0
        return jobs

    def __repr__(self) -> str:
        large = f", {len(self.large.waiting)} large" if self.large.waiting else ""
        return f"<Lanes {self.jobs} jobs, {self.rows} rows in {len(self._lanes)} lanes{large}>"
