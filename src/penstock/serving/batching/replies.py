"""The answers to jobs: given once, to whoever still waits."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any

from penstock.error_text import kind_of
from penstock.errors import PenstockError, PredictError
from penstock.payload import Payload, join
from penstock.serving.batching.jobs import Job

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
