"""How workers share a listening socket: each accepts connections itself, and leaves those that another should have.

Measured with 16 keep-alive connections opened at once on two workers: an event loop that accepts until the queue is
empty gave one worker all 16, SO_REUSEPORT's hash 10 and 6, accepting one at a time 15 and 1; this gives 8 and 8. A kept
connection stays where it is for all its requests, so that matters more than the millisecond that a worker waits
where it has more connections than another. The one queue also outlives a worker: what waits in it when one dies is
taken by the next, where a SO_REUSEPORT socket's queue dies with its owner.
"""

from __future__ import annotations

import asyncio
import mmap
import os
import socket
from collections.abc import Callable, Sequence
from typing import Any

from penstock.http.connection.file_limit import FileLimit

_STEP_BACK = 0.001
_NO_FILE_DESCRIPTORS = 1.0  # seconds to wait for one
_BYTES = 8  # of a count


class ConnectionCounts:
    """The number of open connections by worker, in memory that all of them share; -1 for one that accepts none.

    Each place has one writer, its worker, but for the supervisor, which clears those of the dead.
    """

    def __init__(self, file: int) -> None:
        """`file` is one that `prepare` was given, perhaps by another process."""
        self._memory = mmap.mmap(file, os.fstat(file).st_size)
        self._counts = memoryview(self._memory).cast("q")

    @classmethod
    def prepare(cls, file: int, workers: int) -> ConnectionCounts:
        """Makes an empty file fit for so many workers."""
        os.truncate(file, workers * _BYTES)
        counts = cls(file)
        for number in range(1, workers + 1):
            counts.set(number, -1)
        return counts

    def set(self, number: int, connections: int) -> None:
        self._counts[number - 1] = connections

    def of(self, number: int) -> int:
        return self._counts[number - 1]

    def least(self) -> int:
        """The fewest connections of a worker that accepts any; 0 where none does."""
        return min((count for count in self._counts if count >= 0), default=0)

    def close(self) -> None:
        self._counts.release()
        self._memory.close()


class Connections(set[Any]):
    """The set of open connections that uvicorn keeps, with a callback for its changes."""

    def __init__(self, changed: Callable[[], None]) -> None:
        super().__init__()
        self._changed = changed

    def add(self, connection: Any) -> None:
        super().add(connection)
        self._changed()

    def discard(self, connection: Any) -> None:
        super().discard(connection)
        self._changed()


class Acceptor:
    """Takes connections from listening sockets, one at a time and at most its share."""

    def __init__(self, listeners: Sequence[socket.socket], number: int, counts: ConnectionCounts) -> None:
        self._listeners = listeners
        self._number = number
        self._counts = counts
        self._loop = asyncio.get_running_loop()
        self._files = FileLimit()
        # The whole mutable state: open connections, those accepted and not yet open, the pause before the next attempt,
        # whether it accepts any.
        self.connections = Connections(self._publish)
        self._opening: set[asyncio.Task[Any]] = set()
        self._pause: asyncio.TimerHandle | None = None
        self._open = False

    def start(self, protocol: Callable[[], asyncio.Protocol]) -> None:
        """Accepts connections from now on; `protocol` makes the protocol of each."""
        self._protocol = protocol
        self._open = True
        self._publish()
        self._watch()

    def close(self) -> None:
        """Accepts no more. What waits in the queue is left to the other workers."""
        if self._open:
            self._open = False
            self._publish()
            self._halt()
        for listener in self._listeners:
            listener.close()

    def _publish(self) -> None:
        """Lets the other workers know how many connections this one has."""
        self._counts.set(self._number, len(self.connections) + len(self._opening) if self._open else -1)

    def _on_client(self) -> None:
        """A client waits: leaves it to a worker with fewer connections, and accepts it after a moment all the same."""
        if self._counts.of(self._number) > self._counts.least():
            self._retry_later(_STEP_BACK)
        else:
            self._accept()

    def _retry_later(self, seconds: float) -> None:
        self._halt()
        self._pause = self._loop.call_later(seconds, self._retry)

    def _retry(self) -> None:
        self._pause = None
        self._watch()
        self._accept()

    def _watch(self) -> None:
        for listener in self._listeners:
            self._loop.add_reader(listener, self._on_client)

    def _halt(self) -> None:
        if self._pause is not None:
            self._pause.cancel()
        else:
            for listener in self._listeners:
                self._loop.remove_reader(listener)

    def _accept(self) -> None:
        for listener in self._listeners:
            self._accept_from(listener)

    def _accept_from(self, listener: socket.socket) -> None:
        try:
            connection, _ = listener.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return  # another worker was quicker, or the client left
        except OSError as error:  # no file is free: the client waits in the queue, perhaps for another worker
            self._files.tell(f"Connections wait to be accepted: {error.strerror or error}")
            self._retry_later(_NO_FILE_DESCRIPTORS)
            return
        connection.setblocking(False)
        opening = self._loop.create_task(self._talk(connection))
        self._opening.add(opening)
        opening.add_done_callback(self._opened)
        self._publish()

    async def _talk(self, connection: socket.socket) -> None:
        try:
            await self._loop.connect_accepted_socket(self._protocol, connection)
        except OSError:
            connection.close()

    def _opened(self, opening: asyncio.Task[Any]) -> None:
        self._opening.discard(opening)
        self._publish()

    def __repr__(self) -> str:
        return f"<Acceptor {self._number}, {len(self.connections)} connections>"
