"""What a server process runs: an application that answers, and the service behind it that has to be started first."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Protocol

from starlette.types import Receive, Scope, Send

from penstock.http.connection.interface import Shortcuts
from penstock.metrics import Distribution


class Application(Protocol):
    """An ASGI application, with the shortcuts past it that its connections take."""

    @property
    def shortcuts(self) -> Shortcuts: ...

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]: ...

    def close(self) -> None:
        """Releases what the application itself opened; no request comes any more."""


class ServerMetrics(Protocol):
    """What every server counts of itself."""

    @property
    def loop_lag(self) -> Distribution:
        """How late the event loop comes to its timers, in seconds."""


class Service(Protocol):
    """What starts before a server is ready, and is closed after its last answer: a gateway and its models, say."""

    @property
    def metrics(self) -> ServerMetrics: ...

    @property
    def draining(self) -> bool:
        """Whether `drain` was called."""

    @property
    def waiting_for(self) -> list[str]:
        """The names of what is to be ready and is not."""

    async def start(self) -> None: ...

    async def until_ready(self) -> None:
        """Returns once everything is ready for the first time."""

    def drain(self) -> None:
        """Not ready from now on; requests are still answered."""

    async def close(self) -> None: ...
