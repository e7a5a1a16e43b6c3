"""The formats of bodies and answers, by media type: one table for reading, one for writing."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from penstock.errors import AnswerHasNoColumns, MalformedInput
from penstock.payload import Array, Payload
from penstock.signature import Field, Scalar, Schema, Signature, is_tensor_schema
from penstock.wire.answers.columns import prediction_columns, rows_answered
from penstock.wire.answers.texts import column_texts, quoted
from penstock.wire.budget import Budget
from penstock.wire.csv import decode_csv
from penstock.wire.decoded import Decoded
from penstock.wire.mlflow.invocations import decode_json

JSON = "application/json"
# JSON for callers that read NaN and Infinity as bare words, so that they tell a missing number from an infinite one.
# This is how they ask for it; the answer's type is JSON.
JSON_WORDS = "application/json;non-finite=words"
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
    columns = all(isinstance(f, Field) and isinstance(f.type, Scalar) for f in schema or ())
    if not columns and not is_one_array(schema):
        raise MalformedInput("The inputs of this model cannot be sent as CSV.", hint="Send JSON, Parquet or Arrow.")
    return decode_csv(body, schema, budget)


# Kinds of arrays, by numpy's letters, whose elements a cell of text may be.
_IN_TEXT = "biufUM"


def is_one_array(schema: Schema | None) -> bool:
    """Whether a model takes one array, which the columns of a CSV fill side by side."""
    if not schema or not is_tensor_schema(schema) or len(schema) > 1:
        return False
    return schema[0].dtype.kind in _IN_TEXT and len(schema[0].shape) in (1, 2)


# Media type -> how a body is read. Raises MalformedInput.
READERS: dict[str, Callable[[bytes, Signature | None, Budget], Decoded]] = {
    JSON: _json,
    CSV: _csv,
    PARQUET: _parquet,
    ARROW: _arrow,
    ARROW_FILE: _arrow,
}


def one_line_hint(media: str, body: bytes) -> str:
    """What most often has made one line of a CSV that does not fit; nothing for any other body."""
    if media != CSV or b"\n" in body or b"\r" in body:
        return ""
    return "The whole CSV is one line: curl -d takes line ends away, so send a file with --data-binary @FILE."


def encode_columns(payload: Payload, media: str, given: int | None) -> bytes:
    """An answer in a format that is a table, `given` being the rows of the request, where it has rows. Raises
    AnswerHasNoColumns where it is none, or a cell has no form there."""
    rows = rows_answered(payload, given)
    if rows is None:
        raise AnswerHasNoColumns("The answer is not a list of rows, so it cannot be written as a table.")
    return _WRITERS[media](prediction_columns(payload, rows))


def _write_csv(columns: Mapping[str, Array]) -> bytes:
    texts = [column_texts(column) for column in columns.values()]
    if len(texts) == 1:  # an empty line would be no row
        texts = [["" if text is None else text for text in texts[0]]]
    lines = [",".join(map(quoted, row)) for row in (columns, *zip(*texts, strict=True))]
    return "\n".join([*lines, ""]).encode()


def _write_columnar(name: str) -> Callable[[Mapping[str, Array]], bytes]:
    def write(columns: Mapping[str, Array]) -> bytes:
        from penstock.wire import columnar

        try:
            import pyarrow as pa
        except ModuleNotFoundError:
            raise AnswerHasNoColumns(
                "The answer cannot be written as Parquet or Arrow: pyarrow is not installed on the server."
            ) from None
        from penstock.wire.answers.arrow import arrow_table

        try:
            return getattr(columnar, name)(arrow_table(columns))  # type: ignore[no-any-return]
        except (pa.ArrowException, OverflowError):  # whose text quotes cells
            raise AnswerHasNoColumns(
                "The answer cannot be written as Arrow: a column mixes types, or has a type that Arrow does not know."
            ) from None

    return write


_WRITERS: dict[str, Callable[[Mapping[str, Array]], bytes]] = {
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
        if media == JSON and "non-finite=words" in parameters:
            media = JSON_WORDS
        if media in (JSON, JSON_WORDS) or media in _WRITERS:
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
