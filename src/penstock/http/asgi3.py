"""How a plain function that returns an awaitable is known for ASGI 3."""

from __future__ import annotations

import asyncio
import inspect
import sys
from collections.abc import Callable
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable[..., Any])


def recognised_as_async(function: F) -> F:
    """Marks a function as one whose result is awaited, and costs its calls nothing. Starlette and others take an
    application for ASGI 2, and call it with the scope alone, where its call does not look like a coroutine function.
    Before Python 3.12 the mark is asyncio's own, as asgiref sets it."""
    if sys.version_info >= (3, 12):
        return inspect.markcoroutinefunction(function)
    function._is_coroutine = asyncio.coroutines._is_coroutine  # type: ignore[attr-defined]
    return function
