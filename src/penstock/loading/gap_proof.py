"""The proof of joining where cells are missing: a model may fill a gap with the mean of the rows beside it.

Requests are made as callers could send them, with a gap in columns that may have one, and read as a server reads them:
which of them would share a batch follows from their layouts. Joined and apart they must be answered alike.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterator, Sequence
from typing import Any

import numpy as np

from penstock.errors import InputError, PenstockError
from penstock.flavors import Predictor
from penstock.package import answers_differ
from penstock.package.example import json_forms
from penstock.payload import Params, Payload, Table, Tensors, Value, join, shortened
from penstock.signature import Field, Signature
from penstock.wire.mlflow.answers import answer_value, dump_json
from penstock.wire.mlflow.codec import BodyReader
from penstock.wire.mlflow.formats import JSON

# Beside a gap in all columns at once, so many of them have one alone: each costs a few predictions.
_MAX_COLUMNS = 8

# Requests by the numbers of their rows, and which of these has the gap: after another row, and before one.
_REQUESTS: tuple[tuple[tuple[int, ...], int | None], ...] = (((0,), None), ((1, 2), 1), ((2, 0), 0))


def gaps_differ(predictor: Predictor, rows: Table | Tensors, params: Params, signature: Signature | None) -> str:
    """Why rows with gaps may not be joined with others; empty where they may, or where the model takes none. `rows`
    are three at least, and not all alike."""
    for where, requests in _requests(predictor, rows, signature):
        together: dict[Hashable, list[tuple[Payload, Payload]]] = defaultdict(list)
        for request in requests:
            if (answer := _answer(predictor, request, params)) is not None:
                together[request.layout].append((request, answer))
        for alike in together.values():
            if why := _joined_differ(predictor, alike, params):
                return f"a missing value in {where} changes what the rows beside it are answered ({why})"
    return ""


def _answer(predictor: Predictor, request: Payload, params: Params) -> Payload | None:
    """None where the model refuses these rows: alone or not, their sender is told so."""
    try:
        return predictor.predict(request, params)
    except PenstockError:
        return None


def _joined_differ(predictor: Predictor, alike: Sequence[tuple[Payload, Payload]], params: Params) -> str:
    if len(alike) < 2 or (batch := _answer(predictor, join([request for request, _ in alike]), params)) is None:
        return ""  # a batch that fails is predicted apart
    answers = [answer for _, answer in alike]
    if any(isinstance(answer, Value) for answer in (*answers, batch)):
        return "the answer does not have one item per row"
    if batch.rows != sum(request.rows or 0 for request, _ in alike):
        return f"{batch.rows} rows are answered for {sum(request.rows or 0 for request, _ in alike)}"
    try:
        apart = join(answers)
    except ValueError:
        return "the answers of single requests cannot be combined"
    return answers_differ(answer_value(batch), answer_value(apart))


def _requests(
    predictor: Predictor, rows: Table | Tensors, signature: Signature | None
) -> Iterator[tuple[str, list[Payload]]]:
    """Where gaps are, and requests with and without them."""
    if isinstance(rows, Tensors):
        if any(array.dtype.kind == "f" for array in rows.arrays):
            yield "its arrays", [_with_nan(rows.take(np.array(numbers)), gap) for numbers, gap in _REQUESTS]
        return
    names = rows.names if rows.names is not None else range(rows.width)
    reader, readable = BodyReader(signature, frames=predictor.takes_frames), []
    columns = _nullable(rows, signature)
    for column in columns[:_MAX_COLUMNS]:
        if requests := _read(reader, rows, [column]):
            readable.append(column)
            yield f"column {shortened(names[column])}", requests
    if len(columns) > 1 and (requests := _read(reader, rows, columns) or _read(reader, rows, readable)):
        yield "several columns", requests


def _read(reader: BodyReader, rows: Table, columns: Sequence[int]) -> list[Payload]:
    """The requests as the model would get them; none where it may not have these gaps after all."""
    try:
        requests = [reader.read(JSON, _body(rows, numbers, gap, columns)).payload for numbers, gap in _REQUESTS]
    except InputError:
        return []
    return [request for request in requests if not isinstance(request, Value)]


def _nullable(rows: Table, signature: Signature | None) -> list[int]:
    """Columns that may have gaps, by position: floats, and what the signature says is optional."""
    fields = signature.inputs if signature is not None else None
    optional = {f.name for f in fields or () if isinstance(f, Field) and not f.required}
    names = rows.names if rows.names is not None else range(rows.width)
    return [
        i
        for i, (name, column) in enumerate(zip(names, rows.iter_columns(), strict=True))
        if column.dtype.kind == "f" or name in optional or (not fields and column.dtype.kind == "O")
    ]


def _body(rows: Table, numbers: tuple[int, ...], gap: int | None, columns: Sequence[int]) -> bytes:
    """A request of these rows; the one at `gap` lacks these columns."""
    taken = Table(rows.names, rows.block, rows.columns).take(np.array(numbers))
    _, body, _ = json_forms(taken)
    data: list[list[Any]] = [list(row) for row in body["dataframe_split"]["data"]]
    if gap is not None:
        for column in columns:
            data[gap][column] = None
    return dump_json({"dataframe_split": {**body["dataframe_split"], "data": data}})


def _with_nan(rows: Tensors, gap: int | None) -> Tensors:
    arrays = [array.copy() for array in rows.arrays]
    for array in arrays if gap is not None else ():
        if array.dtype.kind == "f" and array.size:
            array.reshape(len(array), -1)[gap, :1] = np.nan
    return Tensors(rows.names, tuple(arrays))
