"""A job: rows of one caller that wait for their answer."""

from __future__ import annotations

from collections.abc import Hashable
from math import inf
from typing import Any

from penstock.payload import Params, Payload


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
