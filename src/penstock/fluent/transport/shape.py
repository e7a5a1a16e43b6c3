"""Answers that are JSON, and yet none of a tracking server."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from penstock.errors import TrackingUnavailable
from penstock.fluent.transport.interface import TrackingTransport


@contextmanager
def shape_of_answers(transport: TrackingTransport) -> Iterator[None]:
    """Inside, what an answer lacks, or has in another form, counts as a server that is away: whoever trains goes on."""
    try:
        yield
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise TrackingUnavailable(f"{transport.place} answers, but not as a tracking server does.") from error
