"""Requests for signatures of columns: every envelope, every type, good cells and odd ones."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from io import StringIO
from typing import Any

from contract.cells import FEW_ODD, GOOD, ODD, good, variants
from contract.corpus import Subject
from contract.parquet_bodies import parquet_cases
from contract.requests import CSV, Request, post, request

Columns = dict[Any, list[Any]]


def cases(about: Subject) -> Iterator[Request]:
    yield from _shapes(about)
    yield from _csv_shapes(about)
    yield from parquet_cases(about)
    if about.is_unnamed:
        yield from _unnamed_cells(about)
    else:
        yield from _cells(about)
    if any(not field.get("required", True) for field in about.inputs or ()):
        yield from _optional(about)


def columns_of(about: Subject, rows: int = 2) -> Columns:
    """Good columns by name; those without one by position."""
    return {
        field.get("name", i): [good(field, row + i) for row in range(rows)]
        for i, field in enumerate(about.inputs or ())
    }


def split(columns: Columns) -> dict[str, Any]:
    return {"columns": list(columns), "data": [list(row) for row in zip(*columns.values(), strict=True)]}


def records(columns: Columns) -> list[dict[str, Any]]:
    return [dict(zip(map(str, columns), row, strict=True)) for row in zip(*columns.values(), strict=True)]


def csv_text(columns: Columns, *, newline: str = "\n") -> str:
    out = StringIO()
    writer = csv.writer(out, lineterminator=newline)
    writer.writerow(columns)
    writer.writerows([_csv_cell(cell) for cell in row] for row in zip(*columns.values(), strict=True))
    return out.getvalue()


def _csv_cell(cell: Any) -> Any:
    if isinstance(cell, (list, dict)):
        return json.dumps(cell, ensure_ascii=False)
    return cell


def enveloped(kind: str, columns: Columns) -> dict[str, Any]:
    """The body in one of JSON's envelopes."""
    if kind == "dataframe_split":
        return {kind: split(columns)}
    if kind in ("dataframe_records", "instances"):
        return {kind: records(columns)}
    return {kind: {str(name): cells for name, cells in columns.items()}}


ENVELOPES = ("dataframe_split", "dataframe_records", "inputs", "instances")


def _shapes(about: Subject) -> Iterator[Request]:
    """Whole tables: columns missing, too many, in another order, no rows, one row."""
    whole = columns_of(about)
    first, *others = whole
    tables: dict[str, Columns] = {
        "good": whole,
        "one row": columns_of(about, 1),
        "five rows": columns_of(about, 5),
        "no rows": columns_of(about, 0),
        "reordered": dict(reversed(whole.items())),
        "missing column": {name: whole[name] for name in others},
        "extra column": {"extra": ["e", "f"], **whole},
        "missing and extra": {**{name: whole[name] for name in others}, "extra": [1, 2]},
        "other case": {str(name).upper(): cells for name, cells in whole.items()},
        "all null": {name: [None, None] for name in whole},
    }
    for kind in ENVELOPES:
        yield from (post(kind, case, enveloped(kind, columns)) for case, columns in tables.items())
    if not _deserves_shapes(about):
        return
    yield from _split_shapes(whole)
    rows = split(whole)["data"]
    bodies: dict[str, Any] = {
        "rows": rows,
        "one row bare": rows[0],
        "records": records(whole),
        "one record": records(whole)[0],
        "columns as one-row lists": {str(name): [cells[0]] for name, cells in whole.items()},
        "first column bare": whole[first],
        "first cell bare": whole[first][0],
        "unequal columns": {str(name): cells[: 1 + i] for i, (name, cells) in enumerate(whole.items())},
        "nested columns": {str(name): [[cell] for cell in cells] for name, cells in whole.items()},
        "empty list": [],
        "empty object": {},
        "null": None,
        "list with an empty list": [[]],
        "list with an empty object": [{}],
        "list of nulls": [None, None],
    }
    for kind in ("inputs", "instances"):
        yield from (post(kind, case, {kind: body}) for case, body in bodies.items())
    uneven = records(whole)
    uneven[1].pop(str(first), None)
    for kind in ("dataframe_records", "inputs", "instances"):
        yield post(kind, "a record without the first column", {kind: uneven})
        yield post(kind, "a record too many keys", {kind: [records(whole)[0], {**records(whole)[1], "z": 1}]})
    for case, body in {**bodies, "object with data": {"data": rows}}.items():
        if case not in ("records",):
            yield post("dataframe_records", case, {"dataframe_records": body})


def _deserves_shapes(about: Subject) -> bool:
    """One or two types are enough for questions about whole tables."""
    alike = ("boolean", "integer", "float", "binary", "datetime", "array_strings", "map_arrays", "object_deep")
    return about.thorough and about.name.removeprefix("echo_") not in alike


def _split_shapes(whole: Columns) -> Iterator[Request]:
    table = split(whole)
    names, data = table["columns"], table["data"]
    bodies: dict[str, Any] = {
        "without columns": {"data": data},
        "columns null": {"columns": None, "data": data},
        "columns empty": {"columns": [], "data": data},
        "without data": {"columns": names},
        "data null": {"columns": names, "data": None},
        "data empty": {"columns": names, "data": []},
        "all empty": {"columns": [], "data": []},
        "data of empty rows": {"columns": names, "data": [[], []]},
        "row too short": {"columns": names, "data": [data[0], data[1][:-1]]},
        "row too long": {"columns": names, "data": [data[0], [*data[1], 1]]},
        "all rows too long": {"columns": names, "data": [[*row, 1] for row in data]},
        "data is one row": {"columns": names, "data": data[0]},
        "data of objects": {"columns": names, "data": records(whole)},
        "name twice": {"columns": [*names, names[0]], "data": [[*row, row[0]] for row in data]},
        "columns of numbers": {"columns": list(range(len(names))), "data": data},
        "columns as text": {"columns": "xy", "data": data},
        "a null name": {"columns": [None, *names[1:]], "data": data},
        "a list as name": {"columns": [["x"], *names[1:]], "data": data},
        "index": {"columns": names, "index": [10, 20], "data": data},
        "index of text": {"columns": names, "index": ["r", "s"], "data": data},
        "index too short": {"columns": names, "index": [1], "data": data},
        "index null": {"columns": names, "index": None, "data": data},
        "index twice the same": {"columns": names, "index": [3, 3], "data": data},
        "index not a list": {"columns": names, "index": 5, "data": data},
        "unknown key": {"columns": names, "data": data, "dtypes": []},
        "a list": [names, *data],
        "text": "abc",
        "null": None,
        "number": 3,
        "empty object": {},
    }
    yield from (post("dataframe_split", case, {"dataframe_split": body}) for case, body in bodies.items())


def _cells(about: Subject) -> Iterator[Request]:
    """Odd cells in the first column, beside good ones and alone; for the echoes all of them, elsewhere a few."""
    field, *_ = about.inputs or []
    name = field["name"]
    others = {k: v for k, v in columns_of(about, 2).items() if k != name}
    thorough = about.thorough and len(about.inputs or ()) <= 2
    if field["type"] in GOOD:
        found = ODD if thorough else {case: ODD[case] for case in FEW_ODD}
    else:
        found = dict(variants(field, (0 if not thorough else 1)))
    for case, value in {"null": None, **found}.items():
        beside: Columns = {name: [good(field), value], **others}
        alone: Columns = {name: [value], **{k: v[:1] for k, v in others.items()}}
        yield post("dataframe_split", f"cell beside: {case}", enveloped("dataframe_split", beside))
        yield post("inputs", f"cell beside: {case}", enveloped("inputs", beside))
        if case in FEW_ODD:
            yield post("dataframe_records", f"cell beside: {case}", enveloped("dataframe_records", beside))
            yield post("instances", f"cell beside: {case}", enveloped("instances", beside))
        if thorough:
            yield post("dataframe_split", f"cell alone: {case}", enveloped("dataframe_split", alone))
            yield post("inputs", f"cell alone: {case}", enveloped("inputs", alone))
        if thorough and field["type"] in GOOD:
            yield post("inputs", f"scalar: {case}", {"inputs": {k: v[0] for k, v in alone.items()}})
            yield request("csv", f"cell beside: {case}", csv_text(beside), CSV)
    if thorough and len(about.inputs or ()) == 1:
        yield from (post("inputs", f"bare list: {case}", {"inputs": [value]}) for case, value in found.items())


def _unnamed_cells(about: Subject) -> Iterator[Request]:
    """Odd cells at the first place of rows without names."""
    field, *_ = about.inputs or []
    others = [cells[0] for cells in list(columns_of(about, 1).values())[1:]]
    found = dict(variants(field, 1)) if field["type"] not in GOOD else ODD
    for case, value in {"null": None, **found}.items():
        rows = [[good(field), *others], [value, *others]]
        yield post("dataframe_split", f"unnamed cell beside: {case}", {"dataframe_split": {"data": rows}})
        yield post("inputs", f"unnamed cell beside: {case}", {"inputs": rows})
        yield post("inputs", f"unnamed cell alone: {case}", {"inputs": rows[1:]})
        if not others:
            yield post("inputs", f"unnamed bare: {case}", {"inputs": [value]})
            yield post("inputs", f"unnamed scalar: {case}", {"inputs": value})


def _optional(about: Subject) -> Iterator[Request]:
    """Every optional column left out, null, partly null, or there alone."""
    whole = columns_of(about)
    required = {f["name"]: whole[f["name"]] for f in about.inputs or () if f.get("required", True)}
    for kind in ENVELOPES:
        yield post(kind, "only required columns", enveloped(kind, required or {"extra": [1, 2]}))
        for field in about.inputs or ():
            name = field["name"]
            if name in required:
                continue
            without = {k: v for k, v in whole.items() if k != name}
            yield post(kind, f"without optional {name}", enveloped(kind, without))
            yield post(kind, f"optional {name} null", enveloped(kind, {**whole, name: [None, None]}))
            yield post(kind, f"optional {name} partly null", enveloped(kind, {**whole, name: [whole[name][0], None]}))
            yield post(kind, f"only optional {name}", enveloped(kind, {**required, name: whole[name]}))


def _csv_shapes(about: Subject) -> Iterator[Request]:
    whole = columns_of(about)
    first, *others = whole
    text = csv_text(whole)
    header, *lines = text.splitlines()
    bodies: dict[str, str | bytes] = {
        "good": text,
        "CRLF": csv_text(whole, newline="\r\n"),
        "CR": csv_text(whole, newline="\r"),
        "no final newline": text.rstrip("\n"),
        "blank lines": f"{header}\n\n{lines[0]}\n\n\n",
        "BOM": b"\xef\xbb\xbf" + text.encode(),
        "header only": header + "\n",
        "empty": "",
        "newline only": "\n",
        "missing column": csv_text({n: whole[n] for n in others}) if others else "other\n1\n",
        "extra column": csv_text({**whole, "extra": [1, 2]}),
        "reordered": csv_text(dict(reversed(whole.items()))),
        "without header": "\n".join(lines),
        "name twice": csv_text(whole).replace(header, f"{header},{first}").replace(lines[0], f"{lines[0]},{lines[0]}"),
        "spaces in the header": text.replace(header, header.replace(",", ", ") + " "),
        "row too short": f"{header}\n{lines[0]}\n{lines[1].rpartition(',')[0]}\n",
        "row too long": f"{header}\n{lines[0]},9\n",
        "open quote": f'{header}\n"{lines[0]}\n',
        "semicolons": text.replace(",", ";"),
        "tabs": text.replace(",", "\t"),
        "not UTF-8": text.encode() + b"\xff\xfe,\xff\n",
        "UTF-16": text.encode("utf-16"),
        "NUL": text + "\0\n",
        "missing words": f"{header}\n" + "".join(",".join([w] * len(whole)) + "\n" for w in ("NA", "null", "NaN", "")),
        "quoted": "\n".join(",".join(f'"{cell}"' for cell in line.split(",")) for line in [header, *lines]),
        "padded": f"{header}\n" + "\n".join(" " + line.replace(",", " , ") + " " for line in lines),
        "comment": "# made by hand\n" + text,
        "index column": "\n".join([f",{header}", *(f"{i},{line}" for i, line in enumerate(lines))]),
        "JSON in it": json.dumps({"dataframe_split": split(whole)}),
    }
    few = ("good", "header only", "missing column", "reordered", "missing words")
    yield from (request("csv", case, bodies[case], CSV) for case in (bodies if _deserves_shapes(about) else few))
