"""The life of a server process: bind, listen, load, announce, serve, drain, stop."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import sys
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from math import ceil
from time import perf_counter
from typing import Any

import uvicorn

from penstock.defaults import DRAIN_DELAY, DRAIN_TIMEOUT, KEEP_ALIVE
from penstock.errors import ConfigError
from penstock.http.connection.protocol import SWEEP_EVERY, BoundedProtocol, connections_of
from penstock.http.service import Application, Service
from penstock.machine.exit_limit import ExitLimit
from penstock.payload import some

log = logging.getLogger("penstock.server")

# How long a thread may keep the interpreter while another one waits for it. A forest takes and releases it a hundred
# times a batch; with Python's 5 ms each time, an event loop that is busy refusing requests would starve the model.
_SWITCH_SECONDS = 0.0001

# How long a server may take after `drain_timeout` to close what it has, and then to end, if something in it hangs.
CLOSE_SECONDS = 0.8
LEAVE_SECONDS = 1.2

# How long after a second signal, which asks for the end at once.
_AT_ONCE_SECONDS = 1.0

# How long uvicorn sleeps between two ticks.
_TICK_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class RunOptions:
    """Seconds: `keep_alive` for an idle connection, `drain_delay` between "not ready" and "no new connections",
    `drain_timeout` for what is in flight then."""

    keep_alive: float = KEEP_ALIVE
    drain_delay: float = DRAIN_DELAY
    drain_timeout: float = DRAIN_TIMEOUT

    @property
    def exit_seconds(self) -> float:
        """How long after a signal the process may be there, whatever hangs."""
        return self.drain_delay + self.drain_timeout + LEAVE_SECONDS


def bind(host: str, port: int, *, flag: str = "port") -> socket.socket:
    """A bound socket; port 0 picks a free one. Raises ConfigError for a busy port or an unknown host, naming `flag`."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (socket.gaierror, OverflowError) as error:
        raise ConfigError(f"{host}:{port} is not an address to listen on: {error}.") from None
    family, kind, protocol, _, address = found[0]
    bound = socket.socket(family, kind, protocol)  # where it is TCP, asyncio sends small answers at once
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

    def __init__(self, app: Application, service: Service, options: RunOptions, limit: ExitLimit | None = None) -> None:
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
        self._options = options
        self._limit = limit
        self._signals = 0
        self._ticked = 0.0

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        for number in self.signals:
            loop.add_signal_handler(number, self._on_signal, number)
        try:
            with nullcontext() if self._limit is None else self._limit.watching():
                yield
        finally:
            for number in self.signals:
                loop.remove_signal_handler(number)

    def _on_signal(self, number: int) -> None:
        self._signals += 1
        if self._signals > 1:
            self.force_exit = self.should_exit = True
            self._end_within(_AT_ONCE_SECONDS)
            return
        # Ctrl-C is a person at a terminal; SIGTERM is an orchestrator, whose routers need time to notice.
        self.drain(self._options.drain_delay if number == signal.SIGTERM else 0.0)

    def drain(self, delay: float) -> None:
        """Not ready from now on; stops after `delay` seconds. A second call changes nothing."""
        if self._service.draining:
            return
        log.info("Draining: no longer ready%s.", f", accepting connections for another {delay:g} s" if delay else "")
        self._service.drain()
        self._end_within(delay + self._options.drain_timeout + LEAVE_SECONDS)
        asyncio.get_running_loop().call_later(delay, self.stop)

    def _end_within(self, seconds: float) -> None:
        if self._limit is not None:
            self._limit.within(seconds)

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
    limit: ExitLimit | None = None,
) -> None:
    """Serves until a signal comes, then drains. Listens while the models load, so that probes get their answer. `admin`
    is a second socket to listen on; the application knows it by its port. `start` is called in place of the service's
    own. With a `limit`, what hangs is left behind when it is time to end; the caller has to end the process then.

    `on_ready` is called with the URL once every model is loaded, which may be long after the start where a registry is
    unreachable; the log says so then. Raises what loading raises, with the sockets closed.
    """
    server = Server(app, service, options, limit)
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
        await close_in_time(service.close(), limit)
        app.close()
        for each in sockets:
            each.close()


async def close_in_time(closing: Coroutine[Any, Any, None], limit: ExitLimit | None) -> None:
    """Closes what has been served. Where the process is about to end, what hangs is not waited for."""
    task = asyncio.ensure_future(closing)
    await asyncio.wait([task], timeout=None if limit is None else CLOSE_SECONDS)
    if task.done():
        task.result()


async def _start(service: Service, start: Callable[[], Awaitable[None]], url: str) -> None:
    """Returns when every model is loaded. Raises what loading raises."""
    await start()
    say_if_waiting(url, service.waiting_for)
    await service.until_ready()


def say_if_waiting(url: str, names: list[str]) -> None:
    """Explains why the line that says where it serves is not there yet: it comes when the rest is loaded."""
    if names:
        log.warning("Listening on %s, not ready yet: waiting for %s.", url, some(names))
