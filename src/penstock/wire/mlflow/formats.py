"""The formats of bodies and answers, by media type: one table for reading, one for writing."""

from __future__ import annotations

import csv
from collections.abc import Callable
from io import StringIO

import orjson

from penstock.errors import AnswerHasNoColumns, AnswerUnserializable, MalformedInput
from penstock.payload import Payload, Table
from penstock.signature import Field, Scalar, Signature
from penstock.wire.answer_columns import prediction_columns
from penstock.wire.budget import Budget
from penstock.wire.csv import decode_csv
from penstock.wire.decoded import Decoded
from penstock.wire.mlflow.answers import rows_of
from penstock.wire.mlflow.invocations import decode_json

JSON = "application/json"
CSV = "text/csv"
PARQUET = "application/vnd.apache.parquet"
ARROW = "application/vnd.apache.arrow.stream"
ARROW_FILE = "application/vnd.apache.arrow.file"
COLUMNAR = frozenset({PARQUET, ARROW, ARROW_FILE})


def _json(body: bytes, signature: Signature | None, budget: Budget) -> Decoded:
    return decode_json(body, signature)


def _parquet(body: bytes, signature: Signature | None, budget: Budget) -> Decoded:
    from penstock.wire.columnar import decode_parquet

    return decode_parquet(body, budget)


def _arrow(body: bytes, signature: Signature | None, budget: Budget) -> Decoded:
    from penstock.wire.columnar import decode_arrow

    return decode_arrow(body, budget)


def _csv(body: bytes, signature: Signature | None, budget: Budget) -> Decoded:
    schema = signature.inputs if signature is not None else None
    if schema and not all(isinstance(f, Field) and isinstance(f.type, Scalar) for f in schema):
        raise MalformedInput("The inputs of this model cannot be sent as CSV.", hint="Send JSON, Parquet or Arrow.")
    return decode_csv(body, schema, budget)


# Media type -> how a body is read. Raises MalformedInput.
READERS: dict[str, Callable[[bytes, Signature | None, Budget], Decoded]] = {
    JSON: _json,
    CSV: _csv,
    PARQUET: _parquet,
    ARROW: _arrow,
    ARROW_FILE: _arrow,
}


def encode_columns(payload: Payload, media: str) -> bytes:
    """An answer in a format that is a table. Raises AnswerHasNoColumns where it is none, AnswerUnserializable."""
    return _WRITERS[media](_as_table(payload))


def _as_table(payload: Payload) -> Table:
    rows = payload.rows
    if rows is None and isinstance(getattr(payload, "value", None), list):
        rows = len(payload.value)  # type: ignore[union-attr]
    if rows is None:
        raise AnswerHasNoColumns("The answer is not a list of rows, so it cannot be written as a table.")
    columns = prediction_columns(payload, rows)
    return Table.of(list(columns), list(columns.values()))


def _write_csv(table: Table) -> bytes:
    text = StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(table.names or ())
    writer.writerows([_csv_cell(cell) for cell in row] for row in rows_of(table))
    return text.getvalue().encode()


def _csv_cell(cell: object) -> object:
    if isinstance(cell, (list, dict, tuple)):
        return orjson.dumps(cell, option=orjson.OPT_SERIALIZE_NUMPY).decode()
    return "" if cell is None or cell != cell else cell


def _write_columnar(name: str) -> Callable[[Table], bytes]:
    def write(table: Table) -> bytes:
        from penstock.wire import columnar

        try:
            import pyarrow as pa
        except ModuleNotFoundError:
            raise AnswerHasNoColumns(
                "The answer cannot be written as Parquet or Arrow: pyarrow is not installed on the server."
            ) from None
        try:
            return getattr(columnar, name)(table)  # type: ignore[no-any-return]
        except pa.ArrowException:  # whose text quotes cells
            raise AnswerUnserializable(
                "The answer cannot be written as Arrow: a column mixes types, or has a type that Arrow does not know."
            ) from None

    return write


_WRITERS: dict[str, Callable[[Table], bytes]] = {
    CSV: _write_csv,
    PARQUET: _write_columnar("encode_parquet"),
    ARROW: _write_columnar("encode_arrow"),
}


def accepted(accept: str) -> str:
    """The format to answer in, for an Accept header: the best one that is written here, JSON where none is."""
    choices: list[tuple[float, int, str]] = []
    for position, item in enumerate(accept.lower().split(",")):
        media, *parameters = (part.strip() for part in item.split(";"))
        media = {"*/*": JSON, "application/*": JSON, "text/*": CSV}.get(media, media)
        if media == JSON or media in _WRITERS:
            choices.append((-_quality(parameters), position, media))
    return min(choices)[2] if choices else JSON


def _quality(parameters: list[str]) -> float:
    for parameter in parameters:
        if parameter.startswith("q="):
            try:
                return float(parameter[2:])
            except ValueError:
                return 0.0
    return 1.0
