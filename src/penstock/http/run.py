"""The life of a server process: bind, listen, load, announce, serve, drain, stop."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import ceil
from time import perf_counter
from typing import Any

import uvicorn

from penstock.defaults import DRAIN_DELAY, DRAIN_TIMEOUT, KEEP_ALIVE
from penstock.errors import ConfigError
from penstock.http.connection.protocol import SWEEP_EVERY, BoundedProtocol, connections_of
from penstock.http.service import Application, Service
from penstock.payload import some

log = logging.getLogger("penstock.server")

# How long a thread may keep the interpreter while another one waits for it. A forest takes and releases it a hundred
# times a batch; with Python's 5 ms each time, an event loop that is busy refusing requests would starve the model.
_SWITCH_SECONDS = 0.0001

# How long uvicorn sleeps between two ticks.
_TICK_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class RunOptions:
    """Seconds: `keep_alive` for an idle connection, `drain_delay` between "not ready" and "no new connections",
    `drain_timeout` for what is in flight then."""

    keep_alive: float = KEEP_ALIVE
    drain_delay: float = DRAIN_DELAY
    drain_timeout: float = DRAIN_TIMEOUT


def bind(host: str, port: int, *, flag: str = "port") -> socket.socket:
    """A bound socket; port 0 picks a free one. Raises ConfigError for a busy port or an unknown host, naming `flag`."""
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[
            0
        ]
    except (socket.gaierror, OverflowError) as error:
        raise ConfigError(f"{host}:{port} is not an address to listen on: {error}.") from None
    bound = socket.socket(family, kind)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind(address)
        bound.listen(2048)
    except OSError as error:
        bound.close()
        raise ConfigError(
            f"{host}:{port} is not available: {error.strerror}.",
            hint=f"Choose another {flag}; 0 picks a free port.",
        ) from None
    return bound


def port_of(bound: socket.socket) -> int:
    return int(bound.getsockname()[1])


def url_of(bound: socket.socket) -> str:
    host, port = bound.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


class Server(uvicorn.Server):
    """uvicorn's server with signals of its own: the first one drains, a second one stops at once."""

    signals: tuple[signal.Signals, ...] = (signal.SIGTERM, signal.SIGINT)

    def __init__(self, app: Application, service: Service, options: RunOptions) -> None:
        config = uvicorn.Config(
            app,
            http=connections_of(app.shortcuts),  # type: ignore[arg-type]  # called as a class would be
            ws="none",
            lifespan="off",
            interface="asgi3",
            access_log=False,
            log_config=None,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=ceil(options.keep_alive),
            timeout_graceful_shutdown=ceil(options.drain_timeout),
        )
        super().__init__(config)
        sys.setswitchinterval(_SWITCH_SECONDS)
        self._service = service
        self._drain_delay = options.drain_delay
        self._signals = 0
        self._ticked = 0.0

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        for number in self.signals:
            loop.add_signal_handler(number, self._on_signal, number)
        try:
            yield
        finally:
            for number in self.signals:
                loop.remove_signal_handler(number)

    def _on_signal(self, number: int) -> None:
        self._signals += 1
        if self._signals > 1:
            self.force_exit = self.should_exit = True
            return
        # Ctrl-C is a person at a terminal; SIGTERM is an orchestrator, whose routers need time to notice.
        self.drain(self._drain_delay if number == signal.SIGTERM else 0.0)

    def drain(self, delay: float) -> None:
        """Not ready from now on; stops after `delay` seconds. A second call changes nothing."""
        if self._service.draining:
            return
        log.info("Draining: no longer ready%s.", f", accepting connections for another {delay:g} s" if delay else "")
        self._service.drain()
        asyncio.get_running_loop().call_later(delay, self.stop)

    async def on_tick(self, counter: int) -> bool:
        """uvicorn calls this ten times a second, as far as the loop lets it."""
        now = perf_counter()
        if counter:  # the first call has no tick before it
            self._service.metrics.loop_lag.observe(max(0.0, now - self._ticked - _TICK_SECONDS))
        if counter % int(10 * SWEEP_EVERY) == 0:
            for connection in list(self.server_state.connections):
                if isinstance(connection, BoundedProtocol):
                    connection.sweep()
        ended = await super().on_tick(counter)
        self._ticked = perf_counter()
        return ended

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Finishes what is in flight; what is not done in time is cancelled, as uvicorn does with its tasks."""
        await super().shutdown(sockets)
        for connection in list(self.server_state.connections):
            if isinstance(connection, BoundedProtocol):
                connection.abandon()

    def stop(self) -> None:
        """Accepts nothing new, finishes what is in flight."""
        self.should_exit = True


async def serve(
    app: Application,
    service: Service,
    bound: socket.socket,
    options: RunOptions,
    *,
    on_ready: Callable[[str], Any],
    start: Callable[[], Awaitable[None]] | None = None,
    admin: socket.socket | None = None,
) -> None:
    """Serves until a signal comes, then drains. Listens while the models load, so that probes get their answer. `admin`
    is a second socket to listen on; the application knows it by its port. `start` is called in place of the service's
    own.

    `on_ready` is called with the URL once every model is loaded, which may be long after the start where a registry is
    unreachable; the log says so then. Raises what loading raises, with the sockets closed.
    """
    server = Server(app, service, options)
    sockets = [bound] if admin is None else [bound, admin]
    serving = asyncio.create_task(server.serve(sockets=sockets))
    starting = asyncio.ensure_future(_start(service, start or service.start, url_of(bound)))
    try:
        await asyncio.wait([serving, starting], return_when=asyncio.FIRST_COMPLETED)
        if starting.done():
            starting.result()
            if not server.should_exit:
                on_ready(url_of(bound))
        await serving
    finally:
        server.stop()
        await serving
        starting.cancel()
        await asyncio.gather(starting, return_exceptions=True)
        await service.close()
        app.close()
        for each in sockets:
            each.close()


async def _start(service: Service, start: Callable[[], Awaitable[None]], url: str) -> None:
    """Returns when every model is loaded. Raises what loading raises."""
    await start()
    say_if_waiting(url, service.waiting_for)
    await service.until_ready()


def say_if_waiting(url: str, names: list[str]) -> None:
    """Explains why the line that says where it serves is not there yet: it comes when the rest is loaded."""
    if names:
        log.warning("Listening on %s, not ready yet: waiting for %s.", url, some(names))
