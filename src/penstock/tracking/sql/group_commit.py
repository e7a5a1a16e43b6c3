"""One thread that writes: what arrived while the last commit ran is the next group, in one transaction.

There is no timer. A single caller waits for its own commit alone; a crowd shares commits, the more the slower they are.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue
from time import perf_counter
from typing import Any, NamedTuple, TypeAlias, TypeVar

from penstock.errors import Closing, PenstockError, RegistryOutdated, RegistryReadOnly, RegistryUnavailable
from penstock.tracking.interface import Done, OnDone
from penstock.tracking.writes import Write

log = logging.getLogger("penstock.tracking")

R = TypeVar("R")

# Writes in one transaction: enough to share a commit among a crowd, few enough that none waits for long.
MAX_GROUP = 256


# Told of every commit: how many writes were in it, its seconds, and how many of them the database did not take.
OnCommit: TypeAlias = Callable[[int, float, int], None]

# That it is away, locked, full, read-only, or has other tables: no fault of a write's.
_NOT_TAKEN = (RegistryUnavailable, RegistryOutdated, RegistryReadOnly)


class _Submitted(NamedTuple):
    change: Write[Any]
    ticket: object
    on_done: OnDone


class GroupCommit:
    """`apply` makes the changes of a group and says how each ended, in order. Where it raises, the database cannot be
    written, which ends all of them, or one of them is at fault: then each is made on its own. `tidy` is called while
    nothing waits, and says whether there is more to do."""

    def __init__(
        self,
        apply: Callable[[Sequence[Write[Any]]], Sequence[Any | PenstockError]],
        tidy: Callable[[], bool],
        observe: OnCommit | None = None,
    ) -> None:
        self._apply = apply
        self._tidy = tidy
        self._observe = observe
        self._queue: SimpleQueue[_Submitted | None] = SimpleQueue()
        # Mutable state: whether `close` was called, under the lock, so that nothing is submitted after the end mark.
        self._closed = False
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="penstock-commits", daemon=True)
        self._thread.start()

    def submit(self, change: Write[Any], ticket: object, on_done: OnDone) -> None:
        """Raises Closing after `close`."""
        with self._lock:
            if self._closed:
                raise Closing("The store is being closed.")
            self._queue.put(_Submitted(change, ticket, on_done))

    def write(self, change: Write[R]) -> R:
        """Waits for the commit."""
        ended = threading.Event()
        outcome: list[Done] = []

        def on_done(done: Sequence[Done]) -> None:
            outcome.extend(done)
            ended.set()

        self.submit(change, None, on_done)
        ended.wait()
        if outcome[0].error is not None:
            raise outcome[0].error
        result: R = outcome[0].result
        return result

    def close(self) -> None:
        """Returns once everything that was submitted is written."""
        with self._lock:
            if not self._closed:
                self._closed = True
                self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        busy = False
        while True:
            group, open_still = self._next_group(wait=not busy)
            if group:
                self._commit(group)
            if not open_still:
                return
            busy = self._tidied() if self._queue.empty() else True

    def _next_group(self, *, wait: bool) -> tuple[list[_Submitted], bool]:
        group: list[_Submitted] = []
        try:
            submitted = self._queue.get(block=wait)
            while submitted is not None:
                group.append(submitted)
                if len(group) == MAX_GROUP:
                    return group, True
                submitted = self._queue.get_nowait()
        except Empty:
            return group, True
        return group, False

    def _commit(self, group: list[_Submitted]) -> None:
        began = perf_counter()
        outcomes = self._outcomes([each.change for each in group])
        if self._observe is not None:
            not_taken = sum(isinstance(outcome, _NOT_TAKEN) for outcome in outcomes)
            self._observe(len(group), perf_counter() - began, not_taken)
        by_caller: dict[OnDone, list[Done]] = {}
        for each, outcome in zip(group, outcomes, strict=True):
            failed = outcome if isinstance(outcome, PenstockError) else None
            done = Done(each.ticket, None if failed else outcome, failed)
            by_caller.setdefault(each.on_done, []).append(done)
        for on_done, done_here in by_caller.items():
            try:
                on_done(done_here)
            except Exception:  # a fault of one caller's: others wait for this thread, too
                log.exception("Nobody could be told how %d writes ended.", len(done_here))

    def _outcomes(self, changes: list[Write[Any]]) -> Sequence[Any | PenstockError]:
        try:
            return self._apply(changes)
        except _NOT_TAKEN as error:
            return [error] * len(changes)
        except Exception as error:
            if len(changes) > 1:
                return [outcome for change in changes for outcome in self._outcomes([change])]
            if isinstance(error, PenstockError):
                return [error]
            log.exception("A write failed: %s.", type(changes[0]).__name__)
            return [PenstockError(f"Internal error: {type(error).__name__}.")]

    def _tidied(self) -> bool:
        try:
            return self._tidy()
        except PenstockError as error:
            log.warning("Packing points failed, and is tried again later: %s", error)
        except Exception:
            log.exception("Packing points failed.")
        return False
