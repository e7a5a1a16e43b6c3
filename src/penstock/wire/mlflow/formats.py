"""The formats of bodies and answers, by media type: one table for reading, one for writing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from penstock.errors import AnswerHasNoColumns, MalformedInput
from penstock.payload import Array, Payload, Table, Tensors
from penstock.signature import Casting, Field, Scalar, Schema, Signature, is_tensor_schema
from penstock.wire.answers.columns import prediction_columns, rows_answered
from penstock.wire.answers.texts import column_texts, quoted
from penstock.wire.budget import Budget
from penstock.wire.csv import decode_csv
from penstock.wire.decoded import Decoded
from penstock.wire.mlflow.invocations import decode_json

if TYPE_CHECKING:
    from pyarrow import Table as ArrowTable

JSON = "application/json"
# JSON for callers that read NaN and Infinity as bare words, so that they tell a missing number from an infinite one.
# This is how they ask for it; the answer's type is JSON.
JSON_WORDS = "application/json;non-finite=words"
CSV = "text/csv"
PARQUET = "application/vnd.apache.parquet"
ARROW = "application/vnd.apache.arrow.stream"
ARROW_FILE = "application/vnd.apache.arrow.file"
# Arrow in which arrays are whole, one column for each output, and anything but tables and arrays is JSON.
ARROW_WHOLE = "application/vnd.apache.arrow.stream;arrays=whole"
ANSWER_KIND = "penstock.answer"
COLUMNAR = frozenset({PARQUET, ARROW, ARROW_FILE})


def _json(body: bytes, signature: Signature | None, budget: Budget) -> Decoded:
    return decode_json(body, signature)


def open_table(media: str, body: bytes, budget: Budget) -> ArrowTable:
    """The pyarrow.Table of a columnar body, sound in every cell. Raises MalformedInput, InputTooLarge."""
    from penstock.wire import columnar

    return columnar.open_parquet(body, budget) if media == PARQUET else columnar.open_arrow(body, budget)


def arrays_in(table: ArrowTable, signature: Signature | None) -> Decoded | None:
    """The arrays that a sound pyarrow.Table holds whole; None for a table of columns. Raises MalformedInput."""
    from penstock.wire.arrow_tensors import tensors_of

    schema = signature.inputs if signature is not None else None
    tensors = tensors_of(table, unnamed=schema is not None and schema[0].name is None)
    return None if tensors is None else Decoded(tensors, None, Casting.TYPED)


def _columnar(media: str) -> Callable[[bytes, Signature | None, Budget], Decoded]:
    def read(body: bytes, signature: Signature | None, budget: Budget) -> Decoded:
        from penstock.wire import columnar

        table = open_table(media, body, budget)
        return arrays_in(table, signature) or columnar.decoded(table)

    return read


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
    PARQUET: _columnar(PARQUET),
    ARROW: _columnar(ARROW),
    ARROW_FILE: _columnar(ARROW_FILE),
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


def encode_whole(payload: Payload) -> bytes:
    """A table or arrays of numbers as an Arrow stream, which says of itself what it is: `penstock.answer` in the
    metadata of its schema is table, array or arrays. Raises AnswerHasNoColumns for any other answer."""
    if isinstance(payload, Table) and payload.width:
        return _arrow_stream(lambda: _arrow_table(prediction_columns(payload, payload.rows)), "table")
    if isinstance(payload, Tensors):
        from penstock.wire.arrow_tensors import table_of_tensors

        return _arrow_stream(lambda: table_of_tensors(payload), "array" if payload.names is None else "arrays")
    raise AnswerHasNoColumns("The answer is neither a table nor arrays.")


def _arrow_table(columns: Mapping[str, Array]) -> ArrowTable:
    from penstock.wire.answers.arrow import arrow_table

    return arrow_table(columns)


def _arrow_stream(made: Callable[[], ArrowTable | None], kind: str) -> bytes:
    from penstock.wire import columnar

    with _columns_of_pyarrow():
        table = made()
        if table is None:
            raise AnswerHasNoColumns("The arrays of the answer are not of numbers, or share no rows.")
        return columnar.encode_arrow(table.replace_schema_metadata({ANSWER_KIND: kind}))


@contextmanager
def _columns_of_pyarrow() -> Iterator[None]:
    """Raises AnswerHasNoColumns for what pyarrow finds wrong, and where there is none."""
    try:
        import pyarrow as pa
    except ModuleNotFoundError:
        raise AnswerHasNoColumns(
            "The answer cannot be written as Parquet or Arrow: pyarrow is not installed on the server."
        ) from None
    try:
        yield
    except (pa.ArrowException, OverflowError):  # whose text quotes cells
        raise AnswerHasNoColumns(
            "The answer cannot be written as Arrow: a column mixes types, or has a type that Arrow does not know."
        ) from None


def _write_csv(columns: Mapping[str, Array]) -> bytes:
    texts = [column_texts(column) for column in columns.values()]
    if len(texts) == 1:  # an empty line would be no row
        texts = [["" if text is None else text for text in texts[0]]]
    lines = [",".join(map(quoted, row)) for row in (columns, *zip(*texts, strict=True))]
    return "\n".join([*lines, ""]).encode()


def _write_columnar(name: str) -> Callable[[Mapping[str, Array]], bytes]:
    def write(columns: Mapping[str, Array]) -> bytes:
        from penstock.wire import columnar

        with _columns_of_pyarrow():
            return getattr(columnar, name)(_arrow_table(columns))  # type: ignore[no-any-return]

    return write


_WRITERS: dict[str, Callable[[Mapping[str, Array]], bytes]] = {
    CSV: _write_csv,
    PARQUET: _write_columnar("encode_parquet"),
    ARROW: _write_columnar("encode_arrow"),
}


# Formats that only a parameter asks for.
_ASKED = (JSON_WORDS, ARROW_WHOLE)


def accepted(accept: str) -> str:
    """The format to answer in, for an Accept header: the best one that is written here, JSON where none is."""
    choices: list[tuple[float, int, str]] = []
    for position, item in enumerate(accept.lower().split(",")):
        media, *parameters = (part.strip() for part in item.split(";"))
        media = {"*/*": JSON, "application/*": JSON, "text/*": CSV}.get(media, media)
        media = next((known for known in _ASKED if known.partition(";") == (media, ";", *parameters[:1])), media)
        if media == JSON or media in _ASKED or media in _WRITERS:
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
