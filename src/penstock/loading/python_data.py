"""What Python code hands to a model, as a payload; and the model's answer in a container of the same kind.

Frames and arrays become payloads as they are. Lists and dicts of plain values are what a caller would send as JSON, and
the code that reads requests reads them: `model.predict(records)` means what the same records mean to `/invocations`.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

import numpy as np

from penstock.errors import AnswerUnserializable, MalformedInput, SchemaViolation
from penstock.flavors.frames import from_frame, rows_of_frame, to_frame, to_python
from penstock.package.example import json_forms
from penstock.payload import MAX_VIOLATIONS, Array, Payload, Table, Tensors, Value, shortened, some
from penstock.signature import (
    ArrayOf,
    Casting,
    Field,
    ObjectOf,
    Schema,
    Signature,
    TensorField,
    conform,
    is_tensor_schema,
)
from penstock.signature.gaps import with_pandas_gaps
from penstock.wire.csv import own_names
from penstock.wire.mlflow.answers import encode_answer, rows_of
from penstock.wire.mlflow.codec import BodyReader
from penstock.wire.mlflow.formats import JSON
from penstock.wire.mlflow.frames.frame_payloads import payload_of
from penstock.wire.mlflow.invocations import UNWRAPPED_KEYS

if TYPE_CHECKING:
    from pandas import DataFrame


class Container(Enum):
    """What a caller gave, hence what the answer comes in."""

    PAYLOAD = "payload"  # a Table, Tensors or Value
    FRAME = "frame"  # a pandas.DataFrame or Series
    ARRAYS = "arrays"  # an array, or a dict of arrays or lists
    RECORDS = "records"  # a list of plain values: one item a row
    RECORD = "record"  # one dict of plain values


@dataclass(frozen=True, slots=True)
class PythonInput:
    """A conformed payload; `params` are those that stand in the input itself, as in a chat-shaped one. `index` holds
    a frame's row labels."""

    payload: Payload
    container: Container
    params: Mapping[str, Any] | None = None
    index: Any = None


def read_input(data: Any, signature: Signature | None, *, frames: bool) -> PythonInput:
    """`data` as the model should get it. `frames` is whether the model is handed pandas frames. Raises MalformedInput,
    SchemaViolation."""
    schema = signature.enforced if signature is not None else None
    if isinstance(data, (Table, Tensors, Value)):
        return PythonInput(_conformed(data, schema), Container.PAYLOAD)
    if (frame := frame_of(data, signature)) is not None:
        payload = _conformed(_payload_of_frame(frame, schema, frames), schema)
        if frames and schema:
            payload = with_pandas_gaps(payload, schema)
        return PythonInput(payload, Container.FRAME, index=frame.index)
    if isinstance(data, np.ndarray):
        return PythonInput(_conformed(Tensors.single(data), schema), Container.ARRAYS)
    if isinstance(data, Mapping) and any(is_array(value) for value in data.values()):
        arrays = {str(name): np.asarray(value) for name, value in data.items()}
        return PythonInput(_conformed(Tensors.named(arrays), schema), Container.ARRAYS)
    return _read_plain(data, signature, frames)


def frame_of(data: Any, signature: Signature | None = None) -> DataFrame | None:
    """A frame of a DataFrame or Series, its columns called as the model's where they are the same number or text, or
    where a Series without a name is all that the model takes. Nothing is a frame unless somebody imported pandas."""
    pandas = sys.modules.get("pandas")
    if pandas is None or not isinstance(data, (pandas.Series, pandas.DataFrame)):
        return None
    names = _column_names(signature)
    if isinstance(data, pandas.Series):
        frame = data.to_frame(names[0]) if data.name is None and len(names) == 1 else data.to_frame()
    else:
        frame = data
    labels = frame.columns.tolist()
    own = own_names(labels, signature.inputs if signature is not None and names else None)
    return frame if labels == own else frame.set_axis(own, axis="columns")


def is_array(value: object) -> bool:
    return hasattr(value, "__array__") and not isinstance(value, np.generic)


def _payload_of_frame(frame: DataFrame, schema: Schema | None, frames: bool) -> Payload:
    """The frame's columns without its row labels, which no model is fitted on. A model of frames gets the frame as it
    is where no signature asks for a certain form."""
    if nested := [name for name in frame.columns if isinstance(name, tuple)]:
        raise MalformedInput(
            f"The frame's columns have names of several levels ({shortened(nested[0])}).",
            hint="Give each column one name.",
        )
    if schema is None and frames:
        payload = payload_of(frame.reset_index(drop=True))
        return payload if isinstance(payload, Table) else Value(frame)
    return from_frame(frame) if schema is None else rows_of_frame(frame)


def _conformed(payload: Payload, schema: Schema | None) -> Payload:
    """Raises SchemaViolation."""
    casting = Casting.FRAME if isinstance(payload, Table) else Casting.TENSOR
    found = conform(payload, schema, casting, limit=MAX_VIOLATIONS, side_by_side=True)
    if found.violations:
        raise SchemaViolation(found.violations)
    return found.payload


def request_document(data: Any, signature: Signature | None) -> dict[str, Any]:
    """The JSON body that asks a gateway for predictions of `data`. Raises MalformedInput."""
    if (frame := frame_of(data, signature)) is not None:
        data = _payload_of_frame(frame, None, frames=False)
    if isinstance(data, Tensors):
        data = to_python(data)
    if isinstance(data, (Table, Value)):
        return json_forms(data)[1]
    if isinstance(data, np.ndarray):
        return {"inputs": data.tolist()}
    if isinstance(data, Mapping) and any(is_array(value) for value in data.values()):
        return {"inputs": {str(name): np.asarray(value).tolist() for name, value in data.items()}}
    return document_of(data, signature)[0]


def json_body(document: Any) -> bytes:
    """A request's body. Numbers that are not finite are written as words, which is no JSON, but loses nothing. Raises
    MalformedInput."""
    try:
        return encode_answer(Value(document), wrapped=False, nan_words=True)
    except AnswerUnserializable as error:
        reason = error.message.removeprefix("The model's answer ")
        raise MalformedInput(
            f"The input {reason}",
            hint="Give a DataFrame, an array, a dict of arrays or columns, or records of plain values.",
        ) from None


def _read_plain(data: Any, signature: Signature | None, frames: bool) -> PythonInput:
    document, container = document_of(data, signature)
    try:
        request = BodyReader(signature, frames=frames).read(JSON, json_body(document))
    except (MalformedInput, SchemaViolation) as error:
        names = _column_names(signature)
        if not names or _has_names(data) or _is_about_cells(error):
            raise
        raise MalformedInput(
            f"The model takes named columns ({some(names)}), not {shortened(data)}.",
            hint="Give a DataFrame, an array, a dict of columns, or a list of records.",
        ) from None
    return PythonInput(request.payload, container, request.params)


def _column_names(signature: Signature | None) -> list[str | int]:
    """The names of the columns that the model takes; none where it takes something else, or columns without names."""
    schema = signature.inputs if signature is not None and not signature.hinted else None
    if not schema or is_tensor_schema(schema):
        return []
    return [field.name for field in schema if field.name is not None]


def _has_names(data: Any) -> bool:
    """Whether it is columns or records, or a list that is empty: then it is what is missing that counts."""
    if isinstance(data, (list, tuple)):
        return not data or any(isinstance(item, Mapping) for item in data)
    return isinstance(data, Mapping)


def _is_about_cells(error: MalformedInput | SchemaViolation) -> bool:
    return isinstance(error, SchemaViolation) and any(violation.row is not None for violation in error.violations)


def document_of(data: Any, signature: Signature | None) -> tuple[dict[str, Any], Container]:
    """The request that says the same as `data`, and the kind of answer that it gets."""
    schema = signature.inputs if signature is not None else None
    columns = schema is None or not is_tensor_schema(schema)
    record = isinstance(data, Mapping)
    if signature is not None and signature.hinted:
        return {"inputs": data}, Container.RECORD if record else Container.RECORDS
    if isinstance(data, Mapping):
        if columns and _is_one_row(data, schema):
            return {"dataframe_records": [dict(data)]}, Container.RECORD
        if schema is not None and is_tensor_schema(schema) and _is_one_item(data, schema):
            return {"instances": _instances([data], schema)}, Container.RECORD
        if data.keys() & set(UNWRAPPED_KEYS):
            return dict(data), Container.RECORD
        return {"inputs": dict(data)}, Container.ARRAYS
    if isinstance(data, (list, tuple)) and data and all(isinstance(item, Mapping) for item in data):
        if schema is not None and is_tensor_schema(schema):
            return {"instances": _instances(data, schema)}, Container.RECORDS
        return {"dataframe_records": list(data)}, Container.RECORDS
    return {"inputs": data}, Container.RECORDS


def _is_one_row(data: Mapping[str, Any], schema: Schema | None) -> bool:
    """Whether a dict is one record and no dict of columns: it holds no lists, or its lists are what the signature takes
    as cells."""
    nests = {f.name for f in schema or () if isinstance(f, Field) and isinstance(f.type, (ArrayOf, ObjectOf))}
    return bool(data) and all(
        name in nests or not isinstance(value, (list, tuple, Mapping)) for name, value in data.items()
    )


def _is_one_item(data: Mapping[str, Any], schema: tuple[TensorField, ...]) -> bool:
    """Whether a dict is one record for a model of named arrays: single values, each one row of its array."""
    named = [(field, data[field.name]) for field in schema if field.name is not None and field.name in data]
    return len(named) == len(schema) and all(_is_single(value) and field.shape[:1] == (-1,) for field, value in named)


def _is_single(value: Any) -> bool:
    return not isinstance(value, (list, tuple, Mapping)) and not is_array(value)


def _instances(records: Sequence[Mapping[str, Any]], schema: tuple[TensorField, ...]) -> list[dict[str, Any]]:
    """Records for a model of named arrays. A single value is a row of an array (-1, 1). Raises MalformedInput."""
    names = [field.name for field in schema if field.name]
    if not names:
        raise MalformedInput(
            f"The model takes one array without a name, but the records have {some(records[0])}.",
            hint="Give an array or a list of rows.",
        )
    for number, record in enumerate(records):
        if any(name not in record for name in names):
            raise MalformedInput(f"The model takes the arrays {some(names)}, but record {number} has {some(record)}.")
    ones = {field.name for field in schema if tuple(field.shape) == (-1, 1)}
    return [
        {name: [value] if name in ones and _is_single(value) else value for name, value in record.items()}
        for record in records
    ]


def answer_in_kind(answer: Payload, given: PythonInput) -> Any:
    """The model's answer in the container that fits what the caller gave."""
    match given.container:
        case Container.PAYLOAD:
            return answer
        case Container.FRAME:
            return _frame_answer(answer, given.index)
        case Container.ARRAYS:
            return _array_answer(answer)
        case Container.RECORDS:
            return _list_answer(answer)
        case Container.RECORD:
            answers = _list_answer(answer)
            return answers[0] if isinstance(answers, list) and len(answers) == 1 else answers


def _frame_answer(answer: Payload, index: Any) -> Any:
    """What MLflow's `pyfunc.predict` returns: a frame, an array, a dict of arrays, or what the function returned."""
    if not isinstance(answer, Table):
        return to_python(answer)
    frame = to_frame(answer)
    if answer.index is None and len(frame) == len(index):
        frame.index = index
    return frame


def _array_answer(answer: Payload) -> Any:
    if isinstance(answer, Table):
        names = answer.names if answer.names is not None else range(answer.width)
        return {str(name): column for name, column in zip(names, answer.iter_columns(), strict=True)}
    return to_python(answer)


def _list_answer(answer: Payload) -> Any:
    """Plain values, one item a row where the answer has rows."""
    if isinstance(answer, Table):
        names = [str(name) for name in (answer.names if answer.names is not None else range(answer.width))]
        return [dict(zip(names, row, strict=True)) for row in rows_of(answer)]
    if isinstance(answer, Value):
        return answer.value
    if answer.names is None:
        return answer.arrays[0].tolist()
    if answer.rows is None:
        return {name: array.tolist() for name, array in answer.mapping().items()}
    return _records_of(answer.mapping())


def _records_of(arrays: Mapping[str, Array]) -> list[dict[str, Any]]:
    columns = [array.tolist() for array in arrays.values()]
    return [dict(zip(arrays, row, strict=True)) for row in zip(*columns, strict=True)]
