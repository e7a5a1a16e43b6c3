"""What a connection may be given to answer requests with before there is an ASGI request: a fast path and a load
shedder. Both are optional; whatever they decline takes the slow path, through the application."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias, TypeVar

from penstock.http.deadlines import DeadlineSweep

HeaderList: TypeAlias = list[tuple[bytes, bytes]]


class ClientConnection(Protocol):
    """A connection, as far as an answer needs it."""

    client: tuple[str, int] | None

    def answer(self, status: int, lines: bytes, content: bytes, *, keep_alive: bool) -> None:
        """Writes an answer, if anybody is there, and goes on to the next request."""


class PendingBody(Protocol):
    """A request whose head is there, and to whose `body` the connection adds what comes."""

    body: bytes


P = TypeVar("P", bound=PendingBody)


class OpenCycle(Protocol):
    """A request that a fast path is answering. It stands where uvicorn's protocol has its cycle of request and answer,
    and has of that cycle what uvicorn asks for."""

    response_complete: bool
    keep_alive: bool

    def leave(self) -> None:
        """Nobody waits for the answer any more."""


class FastHandler(Protocol[P]):
    """Answers small requests without an ASGI scope, a task or a coroutine."""

    def hold(self, url: bytes, headers: HeaderList, /) -> P | None:
        """A POST that may be answered here once its body is there; None for the slow path."""

    def begin(self, pending: P, connection: ClientConnection, /) -> OpenCycle | None:
        """The body is there: begins to answer. None for the slow path."""

    def give_up(self) -> None:
        """A body that was waited for takes too long: its request is for the slow path."""


class Shedder(Protocol):
    """Refuses requests that there is no room for, from their head alone."""

    @property
    def alerted(self) -> bool:
        """Whether to ask at all."""

    def refuse(self, url: bytes, headers: HeaderList, /) -> bytes | None:
        """The refusal of a POST, from its `content-type` line on; None for the slow path."""


@dataclass(frozen=True, slots=True)
class Shortcuts:
    """What a server's connections are given. `sweep` wakes those whose request waits for its body."""

    fast_path: FastHandler[Any] | None = None
    load_shedder: Shedder | None = None
    sweep: DeadlineSweep = field(default_factory=DeadlineSweep)
