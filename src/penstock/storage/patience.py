"""Calls of libraries that may never return, waited for no longer than their answer is worth."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextvars import copy_context
from typing import TypeVar

T = TypeVar("T")


def call_within(seconds: float, function: Callable[[], T]) -> T:
    """What the function returns or raises; TimeoutError where it takes longer. It then goes on in a thread that nobody
    waits for, also not when the program ends: there is no way to end it."""
    result: Future[T] = Future()

    def run() -> None:
        try:
            result.set_result(function())
        except BaseException as error:  # whoever waits gets it
            result.set_exception(error)

    threading.Thread(target=copy_context().run, args=(run,), name="penstock-store-call", daemon=True).start()
    return result.result(max(0.0, seconds))
