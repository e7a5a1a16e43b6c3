"""Rows as the bytes of a request. Data that the signature has types for is put into these before it is written, so that
what arrives is what was meant: dates, whole numbers past 2⁵³, missing values, narrow floats."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from penstock.client.arrow_bodies import ArrowFrom, arrow_body
from penstock.errors import MalformedInput
from penstock.flavors.frames import from_frame
from penstock.loading.python_data import Container, document_of, frame_of, is_array, json_body
from penstock.package.example import json_forms
from penstock.payload import Array, Payload, Table, Tensors, Value, as_object_array, shortened
from penstock.signature import Casting, Signature, conform
from penstock.wire.mlflow.answers import dump_json, rows_of
from penstock.wire.mlflow.formats import ARROW, ARROW_WHOLE, JSON, JSON_WORDS
from penstock.wire.mlflow.invocations import is_unwrapped


@dataclass(frozen=True, slots=True)
class RequestBody:
    """A body of a media type; `container` is what the caller gave, hence what the answer comes in, and `index` has a
    frame's row labels. `rows` is how many there are, None where the input is none; `accept` is what to ask for."""

    content: bytes
    media: str
    container: Container
    index: Any = None
    rows: int | None = None
    accept: str = JSON_WORDS


def request_body(
    data: Any, params: Mapping[str, Any] | None, signature: Signature | None, arrow: ArrowFrom | None = None
) -> RequestBody:
    """The request for predictions of `data`. What does not fit the signature is written as it is, for the server to
    refuse: it says so best. `arrow` says from how many cells it is Arrow, None for never. Raises MalformedInput for
    what has no form."""
    frame = frame_of(data, signature)
    payload = _payload_of(data if frame is None else frame)
    if payload is None:
        document, container = document_of(data, signature)
        rows = len(data) if container is Container.RECORDS and isinstance(data, (list, tuple)) else None
        return RequestBody(_json(_with_params(document, params)), JSON, container, None, rows)
    container = Container.ARRAYS
    if frame is not None or isinstance(data, (Table, Tensors, Value)):
        container = Container.PAYLOAD if frame is None else Container.FRAME
    fitted = _fitted(payload, signature)
    stream = None
    if arrow is not None and fitted is not None and not params and arrow.pays(fitted):
        stream = arrow_body(fitted, signature)
    if stream is None:
        stream = _json(_with_params(_document_of_payload(fitted or payload, signature), params))
        media = JSON
    else:
        media = ARROW
    accept = JSON_WORDS
    if arrow is not None and signature is not None and arrow.pays_for_answer(payload.rows, signature.outputs):
        accept = f"{ARROW_WHOLE}, {JSON_WORDS};q=0.9"
    return RequestBody(stream, media, container, None if frame is None else frame.index, payload.rows, accept)


def _payload_of(data: Any) -> Payload | None:
    """The payload of frames and arrays; None for plain values. Raises MalformedInput."""
    if isinstance(data, (Table, Tensors, Value)):
        return data
    if frame_of(data) is not None:
        if nested := [name for name in data.columns if isinstance(name, tuple)]:
            raise MalformedInput(
                f"The frame's columns have names of several levels ({shortened(nested[0])}).",
                hint="Give each column one name.",
            )
        return from_frame(data)
    if isinstance(data, np.ndarray):
        return Tensors.single(data)
    if isinstance(data, Mapping) and any(is_array(value) for value in data.values()):
        return Tensors.named({str(name): np.asarray(value) for name, value in data.items()})
    return None


def _fitted(payload: Payload, signature: Signature | None) -> Payload | None:
    """The payload in the signature's order and types, itself where nothing asks for a form; None where it does not
    fit."""
    schema = signature.enforced if signature is not None else None
    casting = Casting.FRAME if isinstance(payload, Table) else Casting.TENSOR
    fitted = conform(payload, schema, casting, limit=1, side_by_side=True, fill_gaps=False)
    return None if fitted.violations else fitted.payload


def _document_of_payload(payload: Payload, signature: Signature | None) -> dict[str, Any]:
    if isinstance(payload, Table):
        if signature is not None and signature.hinted:  # a type hint takes its items under one name
            names = list(map(str, payload.names if payload.names is not None else range(payload.width)))
            rows = rows_of(payload)
            if len(names) == 1:
                return {"inputs": [cell for (cell,) in rows]}
            return {"inputs": [dict(zip(names, row, strict=True)) for row in rows]}
        block = payload.block
        if block is not None and block.dtype.kind in "biuf":
            named = {} if payload.names is None else {"columns": list(payload.names)}
            return {"dataframe_split": {**named, "data": block}}
        payload = _with_moments_as_text(payload)
    if isinstance(payload, Tensors):
        return {"inputs": payload.arrays[0] if payload.names is None else payload.mapping()}
    return json_forms(payload)[1]


def _with_moments_as_text(table: Table) -> Table:
    """All moments of a column are written alike, since a server may take the first for the form of all."""
    if not any(column.dtype.kind == "M" for column in table.iter_columns()):
        return table
    columns = [_moment_texts(column) if column.dtype.kind == "M" else column for column in table.iter_columns()]
    return Table(table.names, columns=tuple(columns))


# From the coarsest that ISO 8601 has digits for.
_UNITS = ("s", "ms", "us", "ns")


def _moment_texts(column: Array) -> Array:
    unit: Any = next((u for u in _UNITS if _is_whole(column, u)), "auto")
    return as_object_array(np.datetime_as_string(column, unit=unit).tolist())


def _is_whole(column: Array, unit: str) -> bool:
    return bool((np.isnat(column) | (column.astype(f"datetime64[{unit}]") == column)).all())


def _with_params(document: dict[str, Any], params: Mapping[str, Any] | None) -> dict[str, Any]:
    if not params:
        return document
    return {**document, **params} if is_unwrapped(document) else {**document, "params": dict(params)}


def _json(document: dict[str, Any]) -> bytes:
    """The document as JSON. orjson is quick, and writes null for a number that is not finite; where there is any null
    in what it wrote, Python's own writer says which it was."""
    try:
        quick = dump_json(document)
    except Exception:
        return json_body(document)  # raises what a caller understands
    return json_body(document) if b"null" in quick else quick
