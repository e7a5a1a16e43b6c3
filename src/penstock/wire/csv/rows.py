"""CSV text to a header and rows of cells: one width for all of them, or a refusal that says which row has another."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator, Sequence
from io import BytesIO, TextIOWrapper
from itertools import islice

from penstock.errors import MalformedInput
from penstock.signature.cell_texts import wrong_delimiter
from penstock.wire.budget import Budget, check_columns, check_twins
from penstock.wire.csv.records import BOM, all_ends, count_delimiters, without_blanks

csv.field_size_limit(1 << 30)  # the limit on bodies is the server's; Python's own stops at 128 KiB a cell

_SMALL = 1 << 12  # bytes of which all cells are made at once
_HEAD = 1 << 14  # bytes in which the header and a row usually end
_MAY_BE_BLANK = (b"\n ", b"\n\t", b"\r ", b"\r\t")


def read_rows(body: bytes, budget: Budget | None = None) -> tuple[list[str], list[list[str]]]:
    """The names of the columns, and the cells of each row. Raises MalformedInput, InputTooLarge."""
    check_utf8(body)
    text = body.removeprefix(BOM)
    small = len(text) <= _SMALL
    head = _cells(text, None if small else 1)
    if not head:
        raise MalformedInput("The CSV is empty.", hint="The first row names the columns.")
    check_twins(head[0])
    if budget is not None:
        _check_cells(text, len(head[0]), budget)
    header, *data = head if small else _cells(text)
    _check_closed(body, data)
    _check_widths(header, data)
    return header_names(header), data


def check_utf8(body: bytes) -> None:
    """Raises MalformedInput."""
    try:
        body.decode()  # all of it at once, so that the error says where
    except UnicodeDecodeError as error:
        utf16 = body[:2] in (b"\xff\xfe", b"\xfe\xff")
        raise MalformedInput(
            f"The CSV is not valid UTF-8 at byte {error.start}{', but UTF-16' if utf16 else ''}.",
            hint="Save it as UTF-8.",
        ) from None


def open_text(body: bytes, errors: str = "strict") -> TextIOWrapper:
    """A body as a file of text. StringIO would take four bytes a character."""
    return TextIOWrapper(BytesIO(body), "utf-8", errors=errors, newline="")


def _check_cells(body: bytes, width: int, budget: Budget) -> None:
    """Counts the records before any are kept: a row of one cell takes seventy times its text. Raises InputTooLarge."""
    if width * _most_lines(body) > budget.cells:
        budget.check_cells(width * sum(1 for _ in _records(body)))


def _most_lines(body: bytes) -> int:
    return body.count(b"\n") + (body.count(b"\r") if b"\r" in body else 0) + 1


def _cells(body: bytes, most: int | None = None) -> list[list[str]]:
    """The cells of every record that is not blank, `most` of them at most."""
    return list(islice(_records(body), most))


def _records(body: bytes) -> Iterator[list[str]]:
    """The cells of each record that is not blank, one record after the other."""
    if body[:1] in (b" ", b"\t") or any(mark in body for mark in _MAY_BE_BLANK):
        body = without_blanks(body, all_ends(body)[0])[0]
    return filter(None, csv.reader(open_text(body, "replace")))


def _check_closed(body: bytes, data: Sequence[Sequence[str]]) -> None:
    if b'"' in body and all_ends(body.removeprefix(BOM))[1]:
        where = f"Row {len(data) - 1}" if data else "The header"
        raise MalformedInput(f"{where} of the CSV has a quote that is never closed.")


def _check_widths(header: Sequence[str], data: Sequence[Sequence[str]]) -> None:
    width = len(header)
    for number, row in enumerate(data):
        if len(row) != width:
            ends = len(row) == width + 1 and not row[-1].strip()
            comma = "The row ends with a comma: leave it out, or end the header with one as well." if ends else ""
            delimiter = wrong_delimiter(header[0]) if width == 1 else ""
            raise MalformedInput(
                f"Row {number} of the CSV has {len(row)} cells, but the header has {width}.",
                hint=f"{delimiter}." if delimiter else comma,
            )


def header_names(cells: Sequence[str]) -> list[str]:
    """The names of columns as pandas makes them of a header's cells: `Unnamed: 2` where there is none, `a.1` for a
    second `a`. Source: pandas' own parser."""
    unnamed = [i for i, cell in enumerate(cells) if not cell]
    names = [cell or f"Unnamed: {i}" for i, cell in enumerate(cells)]
    if len(set(names)) == len(names):
        return names
    seen, taken = Counter[str](), set(names)
    for i in [*(i for i, cell in enumerate(cells) if cell), *unnamed]:
        name = old = names[i]
        count = seen[name]
        while count > 0:
            seen[old] = count + 1
            name = f"{old}.{count}"
            count = count + 1 if name in taken else seen[name]
        names[i] = name
        taken.add(name)
        seen[name] = count + 1
    return names


def check_head(body: bytes, known: int, budget: Budget | None) -> None:
    """For a CSV that pandas is to read; `known` is the number of the signature's columns. Raises MalformedInput,
    InputTooLarge.

    Of a first row that is wider than the header pandas makes labels and shifts the others; a row wider than the one
    before it it refuses, so that only shorter ones are left for `check_widths`.
    """
    head = check_header(body, known, budget)
    width = len(head[0])
    padded = budget is not None and width * _most_lines(body) > budget.cells
    if padded or (len(head) > 1 and len(head[1]) != width):
        read_rows(body, budget)


def check_header(body: bytes, known: int, budget: Budget | None) -> list[list[str]]:
    """The header and up to two rows after it; `known` as in `check_head`. Raises MalformedInput, InputTooLarge."""
    head = _cells(body[:_HEAD].removeprefix(BOM), 3)
    if len(head) < 3 and len(body) > _HEAD:  # the last one may be cut
        head = _cells(body.removeprefix(BOM), 3)
    if not head:
        raise MalformedInput("The CSV is empty.", hint="The first row names the columns.")
    if budget is not None:
        check_columns(len(head[0]), known)
        check_twins(head[0])
    return head


def check_widths(body: bytes) -> None:
    """For a CSV that pandas has read, which fills up rows that are shorter than the header. Raises MalformedInput."""
    body = body.removeprefix(BOM)
    records, count = without_blanks(body, all_ends(body)[0])
    header = next(filter(None, csv.reader(open_text(records))))
    if count_delimiters(records) != (len(header) - 1) * count:
        read_rows(body)
