"""What processes that are gone left in the spool: each segment is delivered by whoever comes first."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from penstock.errors import PenstockError, TrackingUnavailable
from penstock.fluent.outbox.delivery import Delivery
from penstock.fluent.outbox.private_directory import own_part
from penstock.fluent.outbox.segment import Segment, SegmentHeader
from penstock.fluent.transport.interface import TrackingTransport

log = logging.getLogger("penstock.tracking")

# Between two steps in the background: a program trains meanwhile.
_STEP_SECONDS = 0.05


class LeftSegment(NamedTuple):
    """What became of a segment. `uri` is where it goes; `delivered` counts points, params, tags, files and changes, and
    `refused` those that the server did not take, the first of which `refusals` names; `damaged` counts lines that could
    not be read; `waiting` is in bytes, for `reason`, which is what `error` says where there is one; `process` is that
    of a living one, which delivers it itself, and else 0."""

    directory: Path
    uri: str
    delivered: int = 0
    refused: int = 0
    refusals: tuple[str, ...] = ()
    damaged: int = 0
    waiting: int = 0
    reason: str = ""
    process: int = 0
    error: PenstockError | None = None


def left_directories(spool: Path) -> list[Path]:
    """The oldest first: of one run, what was logged before comes before."""
    found = [file for place in (spool, own_part(spool)) for file in place.glob("*/records.jsonl")]
    return [file.parent for file in sorted(found, key=_age)]


def delivered_segments(
    spool: Path,
    place: str,
    transport_to: Callable[[str], TrackingTransport],
    pause: Callable[[], bool] = lambda: False,
    *,
    dry_run: bool = False,
) -> Iterator[LeftSegment]:
    """Delivers the segments that no living process has, each to where it was logged to, or only those for `place`.
    `pause` is called between steps, and says whether to stop. `dry_run` only looks."""
    for directory in left_directories(spool):
        try:
            header = SegmentHeader.read(directory)
            if place and not is_same_place(header.uri, place):
                continue
            segment = Segment.open(directory)
        except BlockingIOError:
            yield LeftSegment(directory, header.uri, process=header.process)
            continue
        except FileNotFoundError:  # delivered in this moment
            continue
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            if not place:
                said = getattr(error, "strerror", None) or error
                yield LeftSegment(directory, "", waiting=_size_of(directory), reason=f"It cannot be read: {said}.")
            continue
        with closing(segment):
            if dry_run:
                yield LeftSegment(directory, segment.uri, waiting=segment.waiting)
            else:
                yield _delivered(segment, transport_to, pause)
        if pause():
            return


def _delivered(
    segment: Segment, transport_to: Callable[[str], TrackingTransport], pause: Callable[[], bool]
) -> LeftSegment:
    try:
        delivery, reason = Delivery(transport_to(segment.uri), segment), ""
    except PenstockError as error:  # an address that says too little, as that of a database without a place for files
        return LeftSegment(segment.directory, segment.uri, waiting=segment.waiting, reason=said_of(error), error=error)
    try:
        while delivery.step():
            if pause():
                reason = "The program ended."
                break
    except TrackingUnavailable as error:
        reason = said_of(error)
    return LeftSegment(
        segment.directory,
        segment.uri,
        delivery.delivered,
        delivery.refused,
        tuple(delivery.refusals),
        delivery.damaged,
        segment.waiting,
        reason,
    )


def is_same_place(one: str, other: str) -> bool:
    return one.rstrip("/") == other.rstrip("/")


def said_of(error: PenstockError) -> str:
    """With what to do about it, if that is known."""
    return str(error)


class BackgroundDelivery:
    """Delivers what is left for one place while a program runs, over its own transport."""

    def __init__(self, transport: TrackingTransport, spool: str, place: str) -> None:
        self._transport = transport
        self._spool = Path(spool)
        self._place = place
        self.forget()

    def forget(self) -> None:
        """After a fork, in the child: the thread is the parent's."""
        # The whole mutable state: whether to stop, and the thread that delivers.
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def __repr__(self) -> str:
        return f"<BackgroundDelivery of {self._spool} to {self._place}>"

    def start(self) -> None:
        """Unless it is at work, or there is nothing."""
        if (self._thread is not None and self._thread.is_alive()) or self._stop.is_set():
            return
        if not left_directories(self._spool):
            return
        self._thread = threading.Thread(target=self._deliver, name="penstock-log_leftovers", daemon=True)
        self._thread.start()

    def wait(self, seconds: float) -> None:
        """Until all of it is delivered, or known not to be now."""
        if self._thread is not None:
            self._thread.join(seconds)

    def close(self, seconds: float) -> None:
        """What is not delivered by then waits for the next program."""
        self._stop.set()
        self.wait(seconds)

    def _deliver(self) -> None:
        try:
            for left in delivered_segments(
                self._spool, self._place, lambda _: self._transport, lambda: self._stop.wait(_STEP_SECONDS)
            ):
                if left.delivered or left.refused:
                    log.info("%d things of an earlier program were delivered from %s.", left.delivered, left.directory)
                if left.reason:
                    return
        except Exception:
            log.exception("What earlier programs left in %s stays there.", self._spool)


def _size_of(directory: Path) -> int:
    try:
        return (directory / "records.jsonl").lstat().st_size
    except OSError:
        return 0


def _age(path: Path) -> float:
    try:
        return path.lstat().st_mtime
    except FileNotFoundError:  # delivered by its process in this moment
        return 0.0
