"""Errors of every awkward kind that code of a model may raise."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from penstock.flavors.python.mlflow_stubs.exceptions import MlflowException
from penstock.logs import PlainFormatter

HALF = b"caf\xe9.txt".decode("utf-8", "surrogateescape")


class Speechless(Exception):
    """Its text cannot be had."""

    def __str__(self) -> str:
        raise RuntimeError("no words")

    __repr__ = __str__


class Quitting(Exception):
    """Whoever asks for its text is told to end the program."""

    def __str__(self) -> str:
        raise SystemExit(3)

    __repr__ = __str__


class Wordless(Exception):
    """Its text is none."""

    def __str__(self) -> str:
        return 7  # type: ignore[return-value]

    __repr__ = __str__


class Causeless(Exception):
    """Its cause cannot be had."""

    @property
    def __cause__(self) -> BaseException:  # type: ignore[override]
        raise RuntimeError("no cause")


class Endless(Exception):
    """There is always another cause."""

    @property
    def __cause__(self) -> BaseException:  # type: ignore[override]
        return Endless()


class Odd(str):
    """A text whose methods raise."""

    __slots__ = ()

    def _raise(self, *_: Any, **__: Any) -> Any:
        raise RuntimeError("no text")

    split = encode = rstrip = __getitem__ = __len__ = _raise


class Nameless(type):
    """A class that does not say its name."""

    @property
    def __name__(cls) -> str:  # type: ignore[override]
        raise RuntimeError("no name")


class Unnamed(Exception, metaclass=Nameless):
    """Of that class."""


def _mlflow(code: Any) -> MlflowException:
    error = MlflowException("refused " + HALF)
    error.error_code = code
    return error


class CodeRaises(MlflowException):
    """An error code that raises."""

    @property
    def error_code(self) -> str:
        raise KeyError("no code")

    @error_code.setter
    def error_code(self, _: str) -> None: ...


def _chained(length: int) -> Exception:
    error: Exception = ValueError("first")
    for number in range(length):
        following = ValueError(str(number))
        following.__cause__ = error
        error = following
    return error


def _circle() -> Exception:
    one, other = ValueError("one"), ValueError("other")
    one.__cause__, other.__cause__ = other, one
    return one


def zoo() -> list[BaseException]:
    """New ones, each time."""
    return [
        ValueError(HALF),
        ValueError("\ud83d"),
        ValueError(Odd("text")),
        ValueError("x" * 5_000_000),
        ValueError(" \n" * 1_000_000),
        ValueError(b"\xff", object(), None),
        KeyError(HALF),
        OSError(2, "no such file", HALF),
        UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid"),
        Speechless(),
        Quitting(),
        Wordless(),
        Causeless("x"),
        Endless("x"),
        Unnamed("x"),
        ExceptionGroup("several " + HALF, [ValueError(HALF), Speechless(), ExceptionGroup("more", [Causeless()])]),
        BaseExceptionGroup("several", [SystemExit(1), KeyboardInterrupt()]),
        _chained(1000),
        _circle(),
        StopIteration("x"),
        StopAsyncIteration("x"),
        SystemExit(1),
        SystemExit(HALF),
        KeyboardInterrupt(),
        GeneratorExit(),
        asyncio.CancelledError(),
        BaseException(HALF),
        MemoryError(),
        RecursionError("deep"),
        _mlflow(HALF),
        _mlflow("X" * 100_000),
        _mlflow(7),
        CodeRaises("x"),
    ]


NAMES = [f"{number}-{type(error).__qualname__}" for number, error in enumerate(zoo())]


@contextmanager
def logged_as_in_a_server() -> Iterator[None]:
    """pytest's own handlers let the formatting of these errors fail the test; a server's formatter takes them."""
    before = [(handler, handler.formatter) for handler in logging.getLogger().handlers]
    for handler, _ in before:
        handler.setFormatter(PlainFormatter())
    yield
    for handler, formatter in before:
        handler.setFormatter(formatter)
