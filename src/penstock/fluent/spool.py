"""Delivering what processes that are gone left in the spool."""

from __future__ import annotations

import logging
import os
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from penstock.errors import TrackingUnavailable
from penstock.fluent.outbox.delivery import Delivery
from penstock.fluent.outbox.segment import Segment
from penstock.fluent.session import place_of
from penstock.fluent.settings import TrackingSettings
from penstock.fluent.transport.opening import open_transport

log = logging.getLogger("penstock.tracking")


class SpoolReport(NamedTuple):
    """How many segments were delivered whole, wait on, or are used by a process that lives; and how many calls were
    delivered and refused."""

    segments: int = 0
    waiting: int = 0
    in_use: int = 0
    delivered: int = 0
    refused: int = 0


def sync_spool(spool: str | os.PathLike[str] | None = None, uri: str = "") -> SpoolReport:
    """Delivers everything in the spool that no living process delivers itself, each segment to where it was logged to,
    or only what is for `uri`. It may be called by several processes at once, and again after any failure: nothing is
    there twice. Credentials are those of this process. A place that does not answer is left for the next time."""
    settings = TrackingSettings.from_environ(os.environ)
    directory = Path(spool if spool is not None else settings.spool)
    wanted = place_of(uri) if uri else ""
    report = SpoolReport()
    for each in sorted(directory.glob("*/records.jsonl"), key=_age):
        try:
            segment = Segment.open(each.parent)
        except BlockingIOError:
            report = report._replace(in_use=report.in_use + 1)
            continue
        except (OSError, ValueError, KeyError, AttributeError) as error:
            log.warning("%s is no segment of a spool: %s.", each.parent, error)
            continue
        with closing(segment):
            if not wanted or segment.uri == wanted:
                report = _delivered(segment, report)
    return report


def _delivered(segment: Segment, report: SpoolReport) -> SpoolReport:
    with closing(open_transport(TrackingSettings.from_environ(os.environ, segment.uri))) as transport:
        delivery = Delivery(transport, segment)
        done = True
        try:
            while delivery.step():
                pass
        except TrackingUnavailable as error:
            log.warning("%s waits on in %s.", error, segment.directory)
            done = False
    return SpoolReport(
        report.segments + done,
        report.waiting + (not done),
        report.in_use,
        report.delivered + delivery.delivered,
        report.refused + delivery.refused,
    )


def _age(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:  # delivered by its process in this moment
        return 0.0
