"""Loading beside serving: a thread that loads a model takes a rest after every millisecond that it worked.

Whatever a load does in Python or in C, it does with the interpreter held. Another thread that wants it must ask, and
that goes wrong for the event loop in two ways: each time that the loop has waited for a socket it may have to wait for
the interpreter as well; and a load that gives the interpreter away and takes it back in less than the switch interval
(a forest that predicts does, tree by tree) is never made to leave it, for as long as it goes on so. A thread that
sleeps holds nothing.

The rests are put in by the interpreter's profile hook, so they come in anybody's code, also in a model's own. One call
of C that takes long has no rest in it. What is counted is processor time: waiting for a disk or a network is a rest.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import perf_counter, sleep, thread_time
from types import FrameType
from typing import Any

# Seconds of work after which a rest is due, and the longest rest.
_WORK = 0.001
_LONGEST = 0.02


def rest_after(worked: float) -> float:
    """Seconds of rest for so many seconds of work: as long again, so that at most half of a core goes to a load. 0
    while no rest is due."""
    return 0.0 if worked < _WORK else min(worked, _LONGEST)


class Pace:
    """When the next rest is due. The whole state: when that was last looked at, and the work done before the last rest.

    `clock` is cheap and tells when to look at `work`, which tells how much was really done.
    """

    def __init__(
        self,
        clock: Callable[[], float] = perf_counter,
        work: Callable[[], float] = thread_time,
        rest: Callable[[float], None] = sleep,
    ) -> None:
        self._clock = clock
        self._work = work
        self._rest = rest
        self._looked = clock()
        self._rested = work()

    def breathe(self) -> None:
        """Rests if that is due. Cheap enough to be called at every call of a function."""
        now = self._clock()
        if now - self._looked < _WORK:
            return
        self._looked = now
        if seconds := rest_after(self._work() - self._rested):
            self._rest(seconds)
            self._looked = self._clock()
            self._rested = self._work()


@contextmanager
def gently() -> Iterator[None]:
    """What this thread does inside rests as often as it works. Does nothing where the thread is being profiled."""
    if sys.getprofile() is not None:
        yield
        return
    breathe = Pace().breathe

    def look(frame: FrameType, event: str, argument: Any) -> None:
        breathe()

    sys.setprofile(look)
    try:
        yield
    finally:
        sys.setprofile(None)
