"""Deadlines of requests: work on a request ends at its deadline, or when its client disconnects."""

from __future__ import annotations

import asyncio
from collections import deque
from time import perf_counter
from typing import Protocol, TypeVar

from starlette.types import Message, Receive

from penstock.errors import DeadlineExceeded, InputTooSlow, MalformedInput
from penstock.http.bodies import ClientLeft
from penstock.http.headers import Head, header

# After so many seconds a request listens for its client going away; most are answered long before.
LISTEN_AFTER = 0.05

# Seconds between two sweeps at least: a timer for the next request alone would fire for nearly each of them. A request
# whose deadline is nearer than SWEPT_AFTER does not wait for a sweep.
_SWEEP_EVERY = 0.01
SWEPT_AFTER = LISTEN_AFTER + _SWEEP_EVERY

T = TypeVar("T")


def timeout_of(head: Head, longest: float) -> float:
    """Seconds that the caller waits, by its X-Request-Timeout; `longest` where it does not say, or says more. Raises
    MalformedInput: a caller that means a deadline and gets another one is worse off than with an error."""
    given = header(head, b"x-request-timeout")
    if given is None:
        return longest
    try:
        seconds = float(given)
    except ValueError:
        seconds = 0.0
    if not seconds > 0:
        raise MalformedInput("X-Request-Timeout must be a number of seconds above 0.")
    return min(seconds, longest)


def deadline_exceeded() -> DeadlineExceeded:
    """The answer for a caller whose deadline has passed."""
    return DeadlineExceeded("The request's deadline has passed.", hint="Send fewer rows, or allow more time.")


class Expiring(Protocol):
    """Anything with a wake-up time."""

    def wake(self) -> None: ...


class DeadlineSweep:
    """One timer for all requests: each is woken once, between LISTEN_AFTER and SWEPT_AFTER after it began, and most are
    over by then."""

    def __init__(self) -> None:
        # The whole mutable state: requests with their wake-up times, the earliest first, and the timer for that one.
        self._waiting: deque[tuple[float, Expiring]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    def add(self, request: Expiring, now: float) -> None:
        """Wakes the request by SWEPT_AFTER after `now`."""
        self._waiting.append((now + LISTEN_AFTER, request))
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(LISTEN_AFTER, self._wake_due)

    def _wake_due(self) -> None:
        now = perf_counter()
        waiting = self._waiting
        while waiting and waiting[0][0] <= now:
            waiting.popleft()[1].wake()
        self._timer = None
        if waiting:
            self._timer = asyncio.get_running_loop().call_later(max(waiting[0][0] - now, _SWEEP_EVERY), self._wake_due)


async def _nothing() -> Message:
    return {"type": "http.disconnect"}


class RequestDeadline:
    """Enforces the deadline of one request, from the task that answers it, until `end`.

    When the time is up while the body is being read, the task is cancelled; later, the model's answer is, which takes
    the job out of the queue. `fate` says why. Most requests are over before it wakes, so that it costs them next to
    nothing.
    """

    __slots__ = (
        "_deadline",
        "_ended",
        "_future",
        "_listener",
        "_loop",
        "_receive",
        "_task",
        "_timer",
        "_woken",
        "fate",
        "reading",
    )

    def __init__(self, receive: Receive, deadline: float, now: float, sweep: DeadlineSweep) -> None:
        self._receive = receive
        self._deadline = deadline
        self._loop = loop = asyncio.get_running_loop()
        self._task = asyncio.current_task()
        # The whole mutable state: the awaited answer, the task that listens for the client going away, the timer of
        # the next wake-up, and whether there was one; why it was cut short, and whether it is over; whether the body is
        # still being read.
        self._future: asyncio.Future[object] | None = None
        self._listener: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        if deadline - now < SWEPT_AFTER:
            self._timer = loop.call_later(deadline - now, self.wake)
        else:
            sweep.add(self, now)
        self._woken = self._ended = False
        self.fate: Exception | None = None
        self.reading = True

    def wake(self) -> None:
        """Listens for the client from now on, or gives up where the deadline has passed."""
        if self._ended:
            return
        self._woken = True
        left = self._deadline - perf_counter()
        if left <= 0:
            self._give_up()
            return
        self._timer = self._loop.call_later(left, self.wake)
        if self._future is not None:
            self._listen()

    def _give_up(self) -> None:
        if self.reading:
            self.fate = InputTooSlow("The request's body did not arrive before the deadline.")
        else:
            self.fate = deadline_exceeded()
        waiting = self._future or self._task
        assert waiting is not None
        waiting.cancel()

    def _listen(self) -> None:
        if self._listener is None:
            self._listener = self._loop.create_task(self._until_client_leaves())

    async def _until_client_leaves(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._client_left()

    def _client_left(self) -> None:
        if self._future is not None:
            self.fate = ClientLeft()
            self._future.cancel()

    def watch(self, future: asyncio.Future[T]) -> asyncio.Future[T]:
        """Returns the same future, to be awaited; it is cancelled when the time is up or the client has gone."""
        self._future = future  # type: ignore[assignment]
        if self._woken:
            self._listen()
        return future

    def cut_short(self, error: asyncio.CancelledError) -> Exception:
        """The reason for a cancellation that came from here; any other cancellation is raised again."""
        if self.fate is None:
            raise error
        if self._task is not None and self._task.cancelling():
            self._task.uncancel()
        return self.fate

    def end(self) -> None:
        self._ended = True
        if self._timer is not None:
            self._timer.cancel()
        self._future = self._task = None
        self._receive = _nothing  # a request that is over is not kept alive until its wake-up
        if self._listener is not None:
            self._listener.cancel()
            self._listener = None  # its end keeps a traceback that leads back here, and circles wait for the collector
