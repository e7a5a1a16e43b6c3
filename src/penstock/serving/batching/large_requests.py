"""Requests of more rows than one batch may have: what their parts are, and how their answers are kept.

Pure: no clock, no event loop, no model. A large request is one job in the queue, whatever its size; a part is made when
its turn comes, so that what waits costs nothing and what is cancelled leaves nothing behind.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from penstock.payload import Params, Payload, Tensors, Value
from penstock.serving.batching.jobs import Job

# Answers of so many bytes are put together on the event loop; larger ones, and text of any size, in a thread.
JOIN_ON_LOOP = 256 * 1024


class LargeRequest(Job):
    """One caller's rows, given out in parts, and the parts' answers. `room` is what has not been given out yet.
    `answered` is called with the request when its last answer is there."""

    large = True

    __slots__ = ("_answered", "_position", "_turn", "answers", "misfit", "missing")

    def __init__(
        self,
        payload: Payload,
        params: Params,
        reply: Any,
        enqueued: float,
        deadline: float,
        answered: Callable[[LargeRequest], None],
    ) -> None:
        super().__init__(payload, params, reply, enqueued, deadline)
        self._answered = answered
        # The whole mutable state: the first row of the next part; answers by their first row, and how many rows of
        # them are missing; the rows and the answer where that was not one item for each; how often it began anew.
        self._position = 0
        self.answers: dict[int, Any] = {}
        self.missing = self.rows
        self.misfit: tuple[int, Payload] | None = None
        self._turn = 0

    def part(self, rows: int) -> Job:
        """The next rows, as a job of their own."""
        start, end = self._position, min(self._position + rows, self.rows)
        self._position = end
        self.room = self.rows - end
        own = self.payload.take(slice(start, end))  # type: ignore[union-attr]  # no Value is ever large
        return Job(own, self.params, PartReply(self, start, end - start, self._turn), self.enqueued, self.deadline)

    def restart(self) -> None:
        """Forgets all answers, also those of parts that still run."""
        self._position = 0
        self._turn += 1
        self.room = self.missing = self.rows
        self.answers = {}

    def over(self, turn: int) -> bool:
        return self._turn != turn or bool(self.reply.done())

    def keep(self, start: int, rows: int, answer: Any) -> None:
        if isinstance(answer.payload, Value) or answer.payload.rows != rows:
            self.misfit = rows, answer.payload
            self._answered(self)
            return
        self.answers[start] = answer
        self.missing -= rows
        if not self.missing:
            self._answered(self)

    @property
    def in_order(self) -> list[Any]:
        return [self.answers[start] for start in sorted(self.answers)]

    def __repr__(self) -> str:
        return f"<LargeRequest {self.number}: {self.room} of {self.rows} rows wait>"


class PartReply:
    """Where the answer to one part goes; as far as jobs are concerned, a future."""

    __slots__ = ("_request", "_rows", "_start", "_turn")

    def __init__(self, request: LargeRequest, start: int, rows: int, turn: int) -> None:
        self._request = request
        self._start = start
        self._rows = rows
        self._turn = turn

    def done(self) -> bool:
        """Whether nobody waits for it any more: the request has ended, or began anew."""
        return self._request.over(self._turn)

    def set_result(self, answer: Any) -> None:
        self._request.keep(self._start, self._rows, answer)

    def set_exception(self, error: Exception) -> None:
        """One part's failure is the request's."""
        self._request.reply.leave(self._request.lane, self._request.number)  # what waits makes room now
        self._request.reply.set_exception(error)

    def __repr__(self) -> str:
        return f"<PartReply rows {self._start} to {self._start + self._rows} of {self._request!r}>"


class LargeRequests:
    """Large requests with rows that wait, `rows` in all. They take turns, so that none waits for all of another."""

    def __init__(self) -> None:
        # The whole state: requests by number, in the order of their turns, which others look at for every batch, since
        # mostly there are none; the rows that they have not given out; whether the next turn is a large request's.
        self.waiting: OrderedDict[int, LargeRequest] = OrderedDict()
        self.rows = 0
        self._next = False

    def add(self, request: LargeRequest) -> None:
        self.waiting[request.number] = request
        self.rows += request.room

    def remove(self, number: int) -> LargeRequest | None:
        request = self.waiting.pop(number, None)
        if request is not None:
            self.rows -= request.room
        return request

    def has_turn(self, others: bool) -> bool:
        """Whether the next batch is a part of a large request: every second one, where `others` wait."""
        mine = bool(self.waiting) and (self._next or not others)
        self._next = bool(self.waiting) and not mine
        return mine

    def take(self, rows: int) -> tuple[LargeRequest, Job]:
        """The request whose turn it is, and its next part; its turn after that comes after the others'."""
        number, request = self.waiting.popitem(last=False)
        part = request.part(rows)
        self.rows -= part.rows
        if request.room:
            self.waiting[number] = request
        return request, part

    def take_whole(self) -> LargeRequest:
        """The request whose turn it is, with all its rows as one job."""
        request = self.waiting.popitem(last=False)[1]
        self.rows -= request.room
        return request

    def clear(self) -> list[LargeRequest]:
        requests = list(self.waiting.values())
        self.waiting.clear()
        self.rows = 0
        return requests

    def __repr__(self) -> str:
        return f"<LargeRequests {len(self.waiting)}>"


def joins_quickly(payloads: list[Payload]) -> bool:
    """Whether putting these together takes so little that the event loop may do it."""
    total = 0
    for payload in payloads:
        if isinstance(payload, Value):
            return True  # which cannot be joined at all
        for array in payload.arrays if isinstance(payload, Tensors) else payload.iter_columns():
            if array.dtype.kind in "OT":
                return False
            total += array.nbytes
        if total > JOIN_ON_LOOP:
            return False
    return True
