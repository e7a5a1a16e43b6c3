"""A filter or an order that cannot be read, shown with a caret under the place where reading ended."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import IO, Any

import click

from penstock.error_text import printable
from penstock.errors import SearchInvalid, TrackingRefused
from penstock.mlflow_api.search.entities import RUNS
from penstock.mlflow_api.search.parse import parse_filter, parse_order_by
from penstock.mlflow_api.search.tree import Comparison, OrderBy

_INDENT = "       "
# How much of a long text is shown before the place, and after it.
_AROUND = 60


class SearchNotRead(click.ClickException):
    """Prints the text and the place in it; exit code 2."""

    exit_code = 2

    def __init__(self, option: str, text: str, error: SearchInvalid) -> None:
        super().__init__(f"{option}, column {error.column}: {error.message.partition(': ')[2]}")
        self.text = text
        self.column = error.column or 1
        self.hint = error.hint

    def show(self, file: IO[Any] | None = None) -> None:
        click.echo(f"Error: {printable(self.message)}", file=file, err=True)
        for line in self.pointed():
            click.echo(f"{_INDENT}  {line}", file=file, err=True)
        if self.hint:
            click.echo(f"{_INDENT}{printable(self.hint)}", file=file, err=True)

    def pointed(self) -> tuple[str, str]:
        """The text, and a caret under its column."""
        from rich.cells import cell_len

        place = self.column - 1
        first = max(0, place - _AROUND)
        before = ("…" if first else "") + printable(self.text[first:place])
        end = place + _AROUND
        after = printable(self.text[place:end]) + ("…" if len(self.text) > end else "")
        return before + after, " " * cell_len(before) + "^"


@contextmanager
def pointing_at(filter_text: str, order_by: Sequence[str]) -> Iterator[None]:
    """Who keeps the runs decides what is a filter; where it refuses one, we say which place it cannot read. Raises
    SearchNotRead."""
    try:
        yield
    except TrackingRefused as error:
        if error.status == 400:
            check(filter_text, order_by)
        raise


def check(filter_text: str, order_by: Sequence[str]) -> None:
    """Raises SearchNotRead for the first of these texts that is not of MLflow's grammar."""
    try:
        parse_filter(RUNS, filter_text)
    except SearchInvalid as error:
        raise SearchNotRead("--filter", filter_text, error) from error
    for end, text in enumerate(order_by, 1):
        try:
            parse_order_by(RUNS, order_by[:end])
        except SearchInvalid as error:
            if not error.hint and "," in text:
                error.hint = "Repeat --order-by for each of several things to sort by."
            raise SearchNotRead("--order-by", text, error) from error


def named_columns(filter_text: str, order_by: Sequence[str]) -> list[str]:
    """The metrics, params and tags that these texts speak of, as columns are called. None where a server reads more
    than our grammar has."""
    kinds = {"metric": "metrics", "param": "params", "tag": "tags"}
    try:
        found: list[Comparison | OrderBy] = [*parse_filter(RUNS, filter_text), *parse_order_by(RUNS, order_by)]
    except SearchInvalid:
        return []
    return [f"{kinds[each.kind]}.{each.key}" for each in found if each.kind in kinds]
