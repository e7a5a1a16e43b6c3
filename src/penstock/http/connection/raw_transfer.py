"""Large files over a connection, from socket to file and from file to socket, past the event loop.

Through the loop every 64 KB of a body cost copies, a parser's turn and two wake-ups. Here a thread moves megabytes
without any of that. It stays while bytes flow and leaves when they do not, so that slow clients hold no threads; what
they wait for is watched by the loop. Files that are sent are not even copied: the system takes them from its cache.

Only bodies of a declared length, on connections without encryption, of which this server is the only reader. Everything
else takes the way of ASGI.
"""

from __future__ import annotations

import asyncio
import os
import select
import socket as sockets
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from contextlib import contextmanager
from typing import Any, BinaryIO
from weakref import ref

from penstock.http.bodies import ClientLeft

# Where an ASGI scope has a weak reference to uvicorn's cycle of this request and its answer.
CYCLE = "penstock.cycle"

# Shorter bodies are not worth it.
LEAST_BYTES = 1024 * 1024

# How many seconds a client may take nothing of a file, or send nothing.
PATIENCE = 120.0

_PIECE = 256 * 1024  # what a processor keeps near between taking and writing it
_TURN = 64 * 1024 * 1024  # bytes after which a thread is given back, however fast they come
_ENOUGH = 256 * 1024  # bytes that are worth waking up for
_LINGER_MS = 4  # how long a thread waits for the next bytes

Run = Callable[..., Awaitable[Any]]


def cycle_of(scope: MutableMapping[str, Any]) -> Any:
    """The cycle behind a scope; None where a transfer has to go through the loop."""
    found: ref[Any] | None = scope.get(CYCLE)
    cycle = None if found is None else found()
    return None if cycle is None or cycle.transport.get_extra_info("sslcontext") is not None else cycle


async def send_raw(cycle: Any, file: BinaryIO, first: int, length: int, run: Run) -> None:
    """The bytes of a file of this machine, after the head of an answer that declares so many. Raises ClientLeft, and
    OSError where the file has become shorter. `run` runs a function in a thread."""
    sent = 0
    with _cut_on_failure(cycle), _socket_of(cycle) as socket:
        await _head_is_sent(cycle)
        while sent < length:
            sent += await _unbroken(run(_send_some, socket, file, first + sent, length - sent))
            if sent < length and not await _until(socket, writable=True):
                raise ClientLeft
    cycle.expected_content_length -= length


async def receive_raw(cycle: Any, file: BinaryIO, length: int, run: Run, received: Callable[[int], None]) -> None:
    """The rest of a body, `length` bytes, into a file, which may be one of a store; `received` is told of them. Raises
    ClientLeft, and what writing raises: then the rest has been read and thrown away, so that the client hears of it."""
    cycle.flow.pause_reading()
    left = length
    waiting, cycle.body = cycle.body, bytearray()
    with _cut_on_failure(cycle), _socket_of(cycle) as socket:
        turn = _Turn(socket, file)
        await _unbroken(run(turn.write, waiting))
        taken = len(waiting)
        while True:
            received(taken)
            left -= taken
            if not left:
                break
            in_time = await _until(socket, writable=False)
            taken = await _unbroken(run(turn.take, left))
            if not taken and not in_time:
                raise ClientLeft
    cycle.transport.get_protocol().body_was_taken()
    if turn.failure is not None:
        raise turn.failure


class _Turn:
    """Takes bytes from a socket in a thread, for as long as they come, and writes them."""

    def __init__(self, socket: sockets.socket, file: BinaryIO) -> None:
        self._socket = socket
        self._file = file
        self._buffer = memoryview(bytearray(_PIECE))
        self._low = 0
        # The mutable state, beside the least number of bytes that is worth waking up for: what writing has raised.
        self.failure: Exception | None = None

    def take(self, left: int) -> int:
        """How many it took, of those that are left. Raises ClientLeft."""
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        taken = 0
        while taken < min(left, _TURN):
            self._wake_at(min(_ENOUGH, left - taken))
            late = not poll.poll(_LINGER_MS)
            taken += self._take_one(left - taken)
            if late:
                break
        self._wake_at(max(1, min(_ENOUGH, left - taken)))  # for the next turn, or whoever reads the connection next
        return taken

    def write(self, content: bytes | bytearray | memoryview) -> None:
        """What fails is kept, and nothing written any more."""
        view = memoryview(content)
        try:
            while view and self.failure is None:
                view = view[self._file.write(view) :]
        except Exception as error:
            self.failure = error

    def _take_one(self, most: int) -> int:
        try:
            count = self._socket.recv_into(self._buffer, min(most, len(self._buffer)))
        except BlockingIOError:
            return 0
        except OSError:
            raise ClientLeft from None
        if not count:
            raise ClientLeft
        self.write(self._buffer[:count])
        return count

    def _wake_at(self, count: int) -> None:
        if count != self._low:
            self._low = count
            self._socket.setsockopt(sockets.SOL_SOCKET, sockets.SO_RCVLOWAT, count)


def _send_some(socket: sockets.socket, file: BinaryIO, first: int, length: int) -> int:
    """As many bytes as the client takes without much waiting."""
    poll = select.poll()
    poll.register(socket, select.POLLOUT)
    sent, most = 0, min(length, _TURN)
    while sent < most:
        try:
            count = os.sendfile(socket.fileno(), file.fileno(), first + sent, most - sent)
        except BlockingIOError:
            if not poll.poll(_LINGER_MS):
                break
            continue
        except (ConnectionError, TimeoutError):
            raise ClientLeft from None
        if not count:
            raise OSError("the file became shorter while it was sent")
        sent += count
    return sent


async def _unbroken(awaited: Awaitable[Any]) -> Any:
    """A thread that uses a socket and a file is waited for, even by a task that is cancelled: their numbers must not
    become those of others meanwhile."""
    running = asyncio.ensure_future(awaited)
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        await asyncio.wait([running])
        raise


def cut(cycle: Any) -> None:
    """Ends a connection at once, with what has not been sent."""
    cycle.transport.abort()
    cycle.disconnected = True


@contextmanager
def _cut_on_failure(cycle: Any) -> Iterator[None]:
    """After half a body neither side knows where the next message begins."""
    try:
        yield
    except BaseException:
        cut(cycle)
        raise


async def _head_is_sent(cycle: Any) -> None:
    """Returns when the loop has nothing more to write. Raises ClientLeft where the client takes nothing of it."""
    try:
        async with asyncio.timeout(PATIENCE):
            await cycle.flow.drain()
            while cycle.transport.get_write_buffer_size():  # noqa: ASYNC110  (of which no event tells)
                await asyncio.sleep(_LINGER_MS / 1000)
    except TimeoutError:
        raise ClientLeft from None


@contextmanager
def _socket_of(cycle: Any) -> Iterator[sockets.socket]:
    """The connection's socket under a number of its own, since the loop lets nobody else watch its own."""
    socket = sockets.socket(fileno=os.dup(cycle.transport.get_extra_info("socket").fileno()))
    with socket:
        yield socket


async def _until(socket: sockets.socket, *, writable: bool) -> bool:
    """Waits for the client. False where it does nothing for too long."""
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    add, remove = (loop.add_writer, loop.remove_writer) if writable else (loop.add_reader, loop.remove_reader)
    add(socket, ready.set)
    try:
        async with asyncio.timeout(PATIENCE):
            await ready.wait()
    except TimeoutError:
        return False
    finally:
        remove(socket)
    return True
