"""Delivering what processes that are gone left in the spool."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import NamedTuple

from penstock.errors import ConfigError, remedy
from penstock.fluent.outbox.leftovers import LeftSegment, delivered_segments, is_same_place
from penstock.fluent.session import current_session, place_of
from penstock.fluent.settings import TrackingSettings, uri_of
from penstock.fluent.transport.interface import TrackingTransport
from penstock.fluent.transport.opening import open_transport

log = logging.getLogger("penstock.tracking")


class SpoolReport(NamedTuple):
    """How many segments were delivered whole, wait on, or are used by a process that lives; and how many points,
    params, tags, files and changes were delivered and refused."""

    segments: int = 0
    waiting: int = 0
    in_use: int = 0
    delivered: int = 0
    refused: int = 0


def sync_spool(spool: str | os.PathLike[str] | None = None, uri: str = "") -> SpoolReport:
    """Delivers everything in the spool that no living process delivers itself, each segment to where it was logged to,
    or only what is for `uri`. It may be called by several processes at once, and again after any failure: nothing is
    there twice. Credentials are those of this process, so that what is for another server than the one that runs go to
    now waits until it is asked for as `uri`. A place that does not answer is left for the next time."""
    report = SpoolReport()
    for left in synced_segments(spool, uri):
        if left.reason:
            log.warning("%s waits on: %s", left.directory, left.reason)
        report = SpoolReport(
            report.segments + (not left.process and not left.waiting),
            report.waiting + (left.waiting > 0),
            report.in_use + (left.process > 0),
            report.delivered + left.delivered,
            report.refused + left.refused,
        )
    return report


def synced_segments(
    spool: str | os.PathLike[str] | None = None, uri: str = "", *, dry_run: bool = False
) -> Iterator[LeftSegment]:
    """The same, with what became of each segment as soon as it is known. `dry_run` only looks."""
    settings = TrackingSettings.from_environ(os.environ)
    trusted = [each for each in (uri, uri_of(os.environ, current_session().uri), settings.uri) if each]
    with ExitStack() as stack:
        transports: dict[str, TrackingTransport] = {}

        def transport_to(place: str) -> TrackingTransport:
            if place not in transports:
                # As it was given, it may have a username and a password of its own.
                given = next((each for each in trusted if is_same_place(place_of(each), place)), "")
                asked = TrackingSettings.from_environ(os.environ, given or place)
                if asked.is_server and not given:  # it would be sent credentials
                    raise ConfigError(
                        f"It is for {place}, to which runs do not go now.",
                        hint=f"To send it there, with these credentials: sync_spool(uri={place!r})",
                        remedy=remedy("send_there", server=place),
                    )
                opened = open_transport(asked)
                transports[place] = stack.enter_context(closing(opened))
            return transports[place]

        directory = Path(spool if spool is not None else settings.spool)
        yield from delivered_segments(directory, place_of(uri) if uri else "", transport_to, dry_run=dry_run)
