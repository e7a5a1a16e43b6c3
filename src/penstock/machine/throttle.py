"""Loading beside serving: a thread that loads a model takes a rest after every millisecond that it worked.

Whatever a load does in Python or in C, it does with the interpreter held. Another thread that wants it must ask, and
that goes wrong for the event loop in two ways: each time that the loop has waited for a socket it may have to wait for
the interpreter as well; and a load that gives the interpreter away and takes it back in less than the switch interval
(a forest that predicts does, tree by tree) is never made to leave it, for as long as it goes on so. A thread that
sleeps holds nothing.

A load takes processor time from others, too, be they threads or processes. It yields: while it finds that it has to
wait for a processor, somebody else wants that as well, and its rests become longer. Its waits count as rests, too, or
a load on a busy machine would hardly go on: a sixth of the time is for work, as far as the rests decide that.

The rests are put in by the interpreter's profile hook, so they come in anybody's code, also in a model's own. One call
of C that takes long has no rest in it. What is counted is processor time: waiting for a disk or a network is a rest.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from time import perf_counter, sleep, thread_time
from types import FrameType
from typing import Any

from penstock.machine.cores import ProcessorWaits

# Seconds of work after which a rest is due, and the longest rest.
_WORK = 0.001
_LONGEST = 0.02

# A yielding thread rests this many times as long as it waited for a processor, while it works this share of the time.
_PER_WAIT = 4.0
_LEAST_SHARE = 1 / 6

# The rests of background work, in multiples of the work; the attribute in which a hook keeps its multiple.
_SLOWLY = 8.0
_RESTS = "rests"


def rest_after(worked: float, waited: float = 0.0) -> float:
    """Seconds of rest for `worked` seconds of work: as long again, so that a load gets at most half of a core, and
    other threads the interpreter for as long; longer if the thread had to wait for the processor, but not so long that
    work gets less than its share of the time, in which the waits count. 0 while no rest is due."""
    if worked < _WORK:
        return 0.0
    left = worked / _LEAST_SHARE - worked - waited
    return min(max(worked, min(worked + _PER_WAIT * waited, left)), _LONGEST)


def _never() -> float:
    return 0.0


class Throttle:
    """When the next rest is due. The whole state: when that was last looked at, and the work done, and the time waited
    for a processor, before the last rest.

    `clock` is cheap and tells when to look at `work`, which tells how much was really done.
    """

    def __init__(
        self,
        clock: Callable[[], float] = perf_counter,
        work: Callable[[], float] = thread_time,
        rest: Callable[[float], None] = sleep,
        waits: Callable[[], float] = _never,
        rests: float = 1.0,
    ) -> None:
        self._clock = clock
        self._work = work
        self._rest = rest
        self._waits = waits
        self._rests = rests
        self._looked = clock()
        self._rested = work()
        self._waited = waits()

    def breathe(self) -> None:
        """Rests if that is due. Cheap enough to be called at every call of a function."""
        now = self._clock()
        if now - self._looked < _WORK:
            return
        self._looked = now
        worked = self._work() - self._rested
        if worked < _WORK:
            return
        waited = self._waits()
        self._rest(rest_after(worked, waited - self._waited) * self._rests)
        self._waited = waited  # the wait after a rest, for the turn to go on, counts too
        self._looked = self._clock()
        self._rested = self._work()


def is_throttled() -> bool:
    """Whether this thread rests as it works: it is inside `throttled`, or profiled."""
    return sys.getprofile() is not None


@contextmanager
def throttled(*, yielding: bool = False, rests: float = 1.0) -> Iterator[None]:
    """What this thread does inside rests as often as it works; `yielding` to other processes, more often; `rests` times
    as long. Does nothing where the thread is being profiled, or rests as long already."""
    before = sys.getprofile()
    if before is not None and getattr(before, _RESTS, rests) >= rests:
        yield
        return
    waits = ProcessorWaits() if yielding else None
    pace = Throttle(waits=waits.seconds if waits is not None else _never, rests=rests)

    def look(frame: FrameType, event: str, argument: Any) -> None:
        pace.breathe()

    setattr(look, _RESTS, rests)
    sys.setprofile(look)
    try:
        yield
    finally:
        sys.setprofile(before)
        if waits is not None:
            waits.close()


def throttled_if(needed: bool, *, yielding: bool = False) -> AbstractContextManager[None]:
    """`throttled` where requests are answered meanwhile, else at full speed."""
    return throttled(yielding=yielding) if needed else nullcontext()


def background() -> AbstractContextManager[None]:
    """Inside `throttled`: for what may take its time, such as reading a package through. A ninth of a core at most goes
    to it."""
    return throttled(rests=_SLOWLY) if is_throttled() else nullcontext()
