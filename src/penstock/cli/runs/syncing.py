"""What `penstock runs sync` does and prints: a line for each segment of the spool, and what they come to."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import click

from penstock.cli.console import json_text
from penstock.cli.remedies import hint_of
from penstock.error_text import printable, without_passwords
from penstock.fluent.outbox.leftovers import LeftSegment
from penstock.sizes import shown_size

# Refusals of one segment that are printed; JSON has more.
_SHOWN = 5


def as_text(segments: Iterable[LeftSegment], spool: str, *, dry_run: bool) -> bool:
    """Whether everything was sent, or is being sent by who logged it."""
    with _quiet():
        found = []
        for each in segments:
            found.append(each)
            for line in _lines(each, dry_run=dry_run):
                click.echo(without_passwords(printable(line)))
    if not found:
        click.echo(f"Nothing waits in {printable(spool)}.")
    return not any(each.waiting for each in found) or dry_run


def as_json(segments: Iterable[LeftSegment], spool: str, *, dry_run: bool) -> bool:
    """The same for programs."""
    with _quiet():
        found = list(segments)
    entries = [
        {
            "directory": str(each.directory),
            "uri": without_passwords(each.uri),
            "delivered": each.delivered,
            "refused": each.refused,
            "refusals": list(each.refusals),
            "damaged_lines": each.damaged,
            "waiting_bytes": each.waiting,
            "reason": without_passwords(_reason(each)),
            "process": each.process or None,
        }
        for each in found
    ]
    click.echo(json_text({"spool": spool, "segments": entries}))
    return not any(each.waiting for each in found) or dry_run


def _lines(each: LeftSegment, *, dry_run: bool) -> Iterator[str]:
    if each.process:
        yield f"{each.uri}: process {each.process} lives, and sends what it logs itself ({each.directory})"
        return
    place = each.uri or str(each.directory)
    if each.delivered or not (each.waiting or each.refused or each.damaged):
        yield f"{place}: {each.delivered:,} points, params, tags, files and changes sent"
    if each.refused:
        yield f"{place}: {each.refused:,} refused, which are not tried again"
        yield from (f"  {refusal}" for refusal in each.refusals[:_SHOWN])
        if len(each.refusals) > _SHOWN:
            yield "  … (--json names more)"
    if each.damaged:
        yield f"{place}: {each.damaged:,} lines could not be read, as after a loss of power"
    if each.waiting:
        yield f"{place}: {shown_size(each.waiting)} {'to send' if dry_run else 'wait on'} in {each.directory}"
        if reason := _reason(each):
            yield f"  {reason}"


def _reason(each: LeftSegment) -> str:
    """With what to do about it in the words of the command line."""
    return f"{each.error.message} {hint_of(each.error)}".strip() if each.error is not None else each.reason


@contextmanager
def _quiet() -> Iterator[None]:
    """What the client would log as it goes is printed in its place."""
    log = logging.getLogger("penstock.tracking")
    before, log.disabled = log.disabled, True
    try:
        yield
    finally:
        log.disabled = before
