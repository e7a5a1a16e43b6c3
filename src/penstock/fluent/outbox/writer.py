"""Writing what was logged to the spool; and what becomes of it while the spool takes nothing."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from contextlib import suppress
from time import monotonic

from penstock.fluent.outbox.overflow import Overflow
from penstock.fluent.outbox.segment import Segment
from penstock.fluent.outbox.source import DeliverySource

log = logging.getLogger("penstock.tracking")

_MEMORY_BYTES = 32 * 1024 * 1024
_RETRY_SECONDS = 1.0


class SpoolWriter:
    """To a segment that is made with the first line; to memory while its disk is full or cannot be written, or while
    more than `spool_bytes` wait in it. What memory does not take either is lost, and counted."""

    def __init__(self, make_segment: Callable[[], Segment], spool_bytes: int) -> None:
        self._make_segment = make_segment
        self._spool_bytes = spool_bytes
        self._lock = threading.RLock()
        # The whole mutable state: the segment, what stands in for it and until when it does at least; entries that were
        # lost, and those of them that were spoken of; and whether it was said that the spool takes nothing.
        self.segment: Segment | None = None
        self.overflow = Overflow(_MEMORY_BYTES, {}, self.opened)
        self._retry_at = 0.0
        self.lost = self._said = 0
        self._is_failing = False

    def __repr__(self) -> str:
        return f"<SpoolWriter: {self.segment!r}, {self.overflow!r}, {self.lost} lost>"

    @property
    def source(self) -> DeliverySource | None:
        """From which to deliver: what is in memory is newer than all that is in the segment."""
        if self.segment is not None and self.segment.waiting:
            return self.segment
        return self.overflow if self.overflow.waiting else None

    @property
    def kept_in(self) -> str:
        """Where what is logged now waits, in words."""
        return "memory" if self.segment is None or self.overflow.waiting else self.segment.place

    @property
    def waiting(self) -> int:
        """Bytes that are not delivered yet."""
        return (self.segment.waiting if self.segment is not None else 0) + self.overflow.waiting

    def opened(self) -> Segment:
        """Raises OSError."""
        with self._lock:
            if self.segment is None:
                made = self._make_segment()
                made.run_ids = self.overflow.run_ids
                self.segment = made
            return self.segment

    def keep(self, lines: bytes, count: int, *, may_move: bool) -> None:
        """Lines of so many entries. `may_move`: nobody delivers from memory now."""
        if self.overflow.waiting:
            if not may_move or monotonic() < self._retry_at or not self._moved():
                self._to_memory(lines, count)
                return
        elif self._is_failing and monotonic() < self._retry_at:
            self._to_memory(lines, count)
            return
        if not self._written(lines):
            self._to_memory(lines, count)

    def sync(self) -> None:
        """What waits in the spool survives the end of the machine, if the disk can do it."""
        if self.segment is not None and self.segment.waiting:
            with suppress(OSError):
                self.segment.sync()

    def finish(self) -> None:
        """Nobody delivers any more: what is in memory goes to the spool, or is lost."""
        if self.overflow.waiting and not self._moved():
            self.lost += sum(count for _, count in self.overflow.take())
        self.sync()

    def lose(self, count: int) -> None:
        """Says so with the first of them."""
        if self.lost == self._said:
            log.error(
                "What is logged is being lost: it cannot be delivered, and the spool and memory are full. Make room on "
                "the disk of PENSTOCK_SPOOL, or raise PENSTOCK_SPOOL_MB."
            )
        self.lost += count

    def say_losses(self) -> None:
        """How much was lost since it was said last."""
        if lost := self.lost - self._said:
            self._said = self.lost
            log.error("%d things that were logged are lost, since neither server nor spool took them.", lost)

    def _to_memory(self, lines: bytes, count: int) -> None:
        if not self.overflow.append(lines, count):
            self.lose(count)

    def _moved(self) -> bool:
        """Whether the spool took all that is in memory."""
        taken = self.overflow.take()
        for number, (lines, _) in enumerate(taken):
            if not self._written(lines):
                for rest in taken[number:]:
                    self.overflow.append(*rest)
                return False
        return True

    def _written(self, lines: bytes) -> bool:
        """Whether the spool took it. It is said once that it does not, and once that it does again."""
        try:
            segment = self.opened()
            is_full = segment.waiting and segment.waiting + len(lines) > self._spool_bytes
            if not is_full:
                segment.append(lines)
            reason = "more than PENSTOCK_SPOOL_MB wait in it" if is_full else ""
        except OSError as error:
            reason = error.strerror or str(error)
        if not reason:
            if self._is_failing:
                self._is_failing = False
                log.warning("The spool takes what is logged again.")
            return True
        self._retry_at = monotonic() + _RETRY_SECONDS
        if not self._is_failing:
            self._is_failing = True
            log.warning(
                "The spool cannot be written: %s. Until it can, what is logged waits in memory for its delivery, and "
                "would be lost with this process.",
                reason,
            )
        return False
