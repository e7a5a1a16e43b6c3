"""A job: rows of one caller that wait for their answer, and the reply, which is given once, to whoever still waits."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from math import inf
from typing import Any

from penstock.error_text import kind_of
from penstock.errors import PenstockError, PredictError
from penstock.payload import Params, Payload, join

log = logging.getLogger("penstock.serving")


@dataclass(slots=True)
class Answer:
    """An answer with the seconds it waited and the seconds the model took."""

    payload: Payload
    queue: float
    predict: float


class Reply(asyncio.Future[Answer]):
    """The answer to one job. Whoever cancels it takes the job out of the queue in that moment."""

    # Set by the batcher, since an __init__ would cost as much as the rest. Not the job: that holds this, and a ring
    # would outlive both.
    __slots__ = ("lane", "leave", "number")
    leave: Callable[[Hashable, int], None]
    lane: Hashable
    number: int

    def cancel(self, msg: Any | None = None) -> bool:
        if not super().cancel(msg):
            return False
        self.leave(self.lane, self.number)
        return True


class Alone:
    """The lane of a job without rows to join: a key that equals nothing else."""


class Job:
    """Rows of one caller, waiting for their answer, which is of no use after `deadline`. `number` orders jobs by
    arrival; a lane sets it."""

    large = False  # whether it is given out in parts

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
        self.lane: Hashable = (payload.layout, _params_key(params)) if rows else Alone()

    def __repr__(self) -> str:
        return f"<Job {self.number}: {self.rows} rows>"


def _params_key(params: Params) -> str:
    """Equal for equal params. Not JSON, in which NaN, infinity and none at all are one null."""
    return "" if params is None else repr(sorted(params.items()))


def resolve(job: Job, answer: Answer) -> None:
    if not job.reply.done():
        job.reply.set_result(answer)


def fail(job: Job, error: BaseException) -> None:
    if not job.reply.done():
        job.reply.set_exception(error if isinstance(error, PenstockError) else _unexpected(error))


def _unexpected(error: BaseException) -> PenstockError:
    log.error("A prediction failed inside Penstock.", exc_info=error)
    wrapped = PenstockError(f"The prediction failed inside the gateway ({kind_of(error)}).")
    wrapped.__cause__ = error
    return wrapped


def put_together(answers: list[Answer]) -> Answer:
    """The answers to the parts of one request, in order, as one. Raises PredictError."""
    try:
        whole = join([a.payload for a in answers])
    except ValueError as error:
        raise PredictError("The model's answers to the parts of a large request cannot be combined.") from error
    return Answer(whole, answers[0].queue, sum(a.predict for a in answers))
