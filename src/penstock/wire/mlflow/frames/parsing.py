"""The first stage: bodies to frames and arrays, cast towards the signature as leniently as MLflow does."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from penstock.errors import MalformedInput, SchemaViolation
from penstock.payload import MAX_VIOLATIONS, Payload, Violation, shortened
from penstock.signature import (
    AnyValue,
    ArrayOf,
    Field,
    Misfit,
    Scalar,
    Schema,
    TensorField,
    check_moments,
)
from penstock.wire.json_sizes import pads_texts
from penstock.wire.mlflow.frames.corruption import Check, Corrupted, checked, leaves, text_misfit, unchecked
from penstock.wire.mlflow.frames.dtypes import numpy_type
from penstock.wire.mlflow.frames.enforcing import enforce
from penstock.wire.mlflow.frames.faults import array_fault, value_fault, wanted_by
from penstock.wire.mlflow.frames.frame_casts import cast_frame
from penstock.wire.mlflow.frames.frame_cells import enforce_cell
from penstock.wire.mlflow.frames.frame_moments import has_moments, is_moments, read_typed, with_moments
from penstock.wire.mlflow.invocations import decode_envelope


def read_document(envelope: str, value: Any, schema: Schema | None, *, exact: bool = False) -> Payload:
    """What the model gets for `{envelope: value}`. With `exact` that is what MLflow would hand it, also where pandas or
    numpy change a cell without a word. Raises MalformedInput, SchemaViolation."""
    if envelope in ("dataframe_split", "dataframe_records"):
        frame = _frame_of_split(value, exact) if envelope == "dataframe_split" else _frame_of_records(value)
        if not schema:
            return enforce(frame, schema)
        frame, corrupted = cast_frame(frame, schema, exact=exact)
        payload = enforce(frame, schema, exact=exact)
        if corrupted:
            raise SchemaViolation(corrupted)
        return payload
    try:
        return enforce(_arrays(envelope, value, schema, unchecked if exact else checked), schema, exact=exact)
    except Corrupted as corruption:
        _refused_for_its_form(envelope, value, schema)
        raise SchemaViolation([corruption.violation]) from None


def _refused_for_its_form(envelope: str, value: Any, schema: Schema | None) -> None:
    """Raises SchemaViolation where the second stage would refuse the data anyhow: that has a code of its own."""
    try:
        enforce(_arrays(envelope, value, schema, unchecked), schema)
    except MalformedInput:
        return
    except SchemaViolation as refusal:
        if not any(violation.at_parse for violation in refusal.violations):
            raise


def _arrays(envelope: str, value: Any, schema: Schema | None, check: Check) -> Any:
    """The first stage of `inputs` and `instances`. Raises MalformedInput, SchemaViolation, Corrupted."""
    try:
        with np.errstate(over="ignore", invalid="ignore"):
            return _instances(value, schema, check) if envelope == "instances" else _inputs(value, schema, check)
    except (MalformedInput, SchemaViolation, Corrupted, MemoryError):
        raise
    except Misfit as misfit:
        raise SchemaViolation([Violation(str(misfit), at_parse=True)]) from None
    except Exception:  # whatever numpy finds wrong is the caller's, and what it says is for programmers
        row, why = array_fault(value, wanted_by(schema[0] if schema else None))
        where = "" if row is None else f"row {row}: "
        raise MalformedInput(f"The {envelope} cannot be read: {where}{why}.") from None


def read_unwrapped(value: dict[str, Any], schema: Schema | None, *, exact: bool = False) -> Payload:
    """What the model gets for a chat-shaped body; `exact` as for `read_document`. Raises SchemaViolation."""
    return enforce(value if exact else _moments_in(value, schema), schema, exact=exact)


def _moments_in(value: dict[str, Any], schema: Schema | None) -> dict[str, Any]:
    """The same with the datetimes of its columns read. Raises SchemaViolation."""
    read = dict(value)
    for field in schema or ():
        name = str(field.name)
        if isinstance(field, Field) and name in value and (is_moments(field) or has_moments(field.type)):
            try:
                read[name] = (
                    checked(value[name], field.type.dtype, field.epoch)
                    if isinstance(field.type, Scalar)
                    else with_moments(value[name], field.type)
                )
            except Misfit as misfit:
                row = misfit.row if isinstance(misfit, Corrupted) else None
                raise SchemaViolation([Violation(str(misfit), row, name)]) from None
    return read


def _frame_of_split(value: Any, exact: bool) -> Any:
    import pandas as pd

    if not isinstance(value, dict) or "data" not in value:
        raise MalformedInput("dataframe_split must be an object with 'data' and, for named columns, 'columns'.")
    if unknown := value.keys() - {"data", "columns", "index"}:
        raise MalformedInput(f"dataframe_split has unknown keys: {', '.join(map(shortened, sorted(unknown)[:5]))}.")
    index = value.get("index")
    if not exact:
        _check_index(index, value["data"])
    try:
        return pd.DataFrame(index=index, columns=value.get("columns"), data=value["data"])
    except Exception:
        raise _no_table("dataframe_split", value) from None


def _check_index(index: Any, data: Any) -> None:
    """Raises MalformedInput: pandas repeats a single row for as many labels as there are."""
    if index is None or not isinstance(data, list):
        return
    if not isinstance(index, list):
        raise MalformedInput(f"The index must be a list of {len(data)} labels, one for each row.")
    levels = bool(index) and all(isinstance(level, list) for level in index)
    for labels in index if levels else [index]:
        if len(labels) != len(data):
            raise MalformedInput(
                f"The index must be a list of {len(data)} labels, one for each row, not {len(labels)}."
            )


def _frame_of_records(value: Any) -> Any:
    import pandas as pd

    if not isinstance(value, list):
        raise MalformedInput(f"dataframe_records must be a list of objects, not {shortened(value)}.")
    try:
        return pd.DataFrame(data=value)
    except Exception:
        raise _no_table("dataframe_records", value) from None


def _no_table(envelope: str, value: Any) -> MalformedInput:
    """Why a frame cannot be made of this, by the reader that asks row after row."""
    try:
        decode_envelope(envelope, value, None, None)
    except MalformedInput as refusal:
        return refusal
    return MalformedInput(f"{envelope} is not a table: the rows have cells that do not stand beside each other.")


def _inputs(value: Any, schema: Schema | None, check: Check) -> Any:
    """Arrays, dicts of arrays or lists of such, each value as numpy casts it for its field."""
    known = _by_name(schema)
    if schema:
        if len(known) == 1 and isinstance(value, list) and not any(isinstance(item, dict) for item in value):
            value = {next(iter(known)): value}
        elif not known and isinstance(value, dict):
            raise MalformedInput(f"The model takes one array without a name or a single value, not {shortened(value)}.")
        elif not known and value is None:
            raise MalformedInput("The model takes an array or a single value, not null.")
    if isinstance(value, dict):
        return {name: _named(name, cells, known, check) for name, cells in value.items()}
    if isinstance(value, list) and all(isinstance(item, dict) for item in value):
        return [
            {name: _named(name, cell, known, check, row) for name, cell in item.items()}
            for row, item in enumerate(value)
        ]
    return _convert(value, schema[0] if schema else None, check)


def _named(name: str, cells: Any, known: dict[Any, Any], check: Check, row: int | None = None) -> Any:
    with _at(name, row, cells, known.get(name)):
        return _convert(cells, known.get(name), check)


@contextmanager
def _at(name: str, row: int | None, value: Any, field: Field | TensorField | None) -> Iterator[None]:
    """Says where a value stands that cannot be read. Raises SchemaViolation, Corrupted."""
    try:
        yield
    except Corrupted as error:
        raise Corrupted(error.reason, error.row if row is None else row, name) from None
    except MemoryError:
        raise
    except Misfit as misfit:
        raise SchemaViolation([Violation(str(misfit), row, name, at_parse=True)]) from None
    except Exception:
        place, why = value_fault(value, field)
        raise SchemaViolation([Violation(why, place if row is None else row, name, at_parse=True)]) from None


def _instances(value: Any, schema: Schema | None, check: Check) -> Any:
    """A list of objects column by column, anything else as `inputs`; required columns must have one length."""
    known = _by_name(schema)
    data: Any
    if isinstance(value, list) and value and isinstance(value[0], dict):
        lists: dict[str, list[Any]] = defaultdict(list)
        for row, item in enumerate(value):
            for name, cell in item.items():
                with _at(name, row, cell, known.get(name)):
                    lists[name].append(_convert(cell, known.get(name), check))
        data = {name: np.array(cells, dtype=object if pads_texts(cells) else None) for name, cells in lists.items()}
    else:
        data = _inputs(value, schema, check)
    if isinstance(data, dict):
        _check_lengths(data, known)
    return data


def _check_lengths(data: dict[str, Any], known: dict[Any, Any]) -> None:
    lists = {name: cells for name, cells in data.items() if isinstance(cells, (list, np.ndarray))}
    if known:
        lists = {name: cells for name, cells in lists.items() if name in known and _is_counted(known[name])}
    lengths = {name: len(cells) for name, cells in lists.items()}
    if len(set(lengths.values())) > 1:
        found = ", ".join(f"{shortened(name)}: {n}" for name, n in list(lengths.items())[:8])
        raise MalformedInput(f"The columns must have the same length ({found}).")


def _is_counted(field: Field | TensorField) -> bool:
    return isinstance(field, TensorField) or (field.required and not isinstance(field.type, ArrayOf))


def _by_name(schema: Schema | None) -> dict[Any, Field | TensorField]:
    return {} if not schema or schema[0].name is None else {field.name: field for field in schema}


def _convert(value: Any, field: Field | TensorField | None, check: Check) -> Any:
    """One value or list as numpy casts it for its field. Raises Misfit, and what numpy raises."""
    if field is None:
        return np.array(value, dtype=object if pads_texts(value) else None)
    if isinstance(field, TensorField):
        if field.dtype.kind == "U" and pads_texts(value):
            raise Misfit("one text is so much longer than the others that an array of them would be mostly empty")
        return np.array(check(value, field.dtype, ""), dtype=field.dtype)
    if isinstance(field.type, Scalar):
        return _convert_plain(value, field.type, check, field.epoch)
    if isinstance(field.type, AnyValue):
        return value
    if check is checked and has_moments(field.type):
        value = with_moments(value, field.type)
    found = enforce_cell(value, field.type, required=field.required)
    return np.array(found) if isinstance(field.type, ArrayOf) else found


# Types whose missing values numpy would turn into False or into the text "None".
_KEEP_MISSING = (Scalar.BOOLEAN, Scalar.STRING, Scalar.BINARY)


def _convert_plain(value: Any, type_: Scalar, check: Check, epoch: str) -> Any:
    dtype = numpy_type(type_)
    if type_ in _KEEP_MISSING:
        if value is None:
            return None
        present = [cell for cell in value if cell is not None] if isinstance(value, list) else []
        if isinstance(value, list) and len(present) < len(value) and all(map(np.isscalar, present)):
            return np.array(
                [cell if cell is None else _convert_plain(cell, type_, check, epoch) for cell in value], dtype=object
            )
    value = check(value, dtype, epoch)
    if dtype.kind in "US" and pads_texts(value):
        dtype = np.dtype(object)
    if dtype.kind == "M":
        if isinstance(value, np.ndarray):
            return value
        check_moments(leaves(value))
    return np.array(value, dtype) if isinstance(value, list) else np.array([value], dtype)[0]


def read_columnar(table: Any, schema: Schema | None, *, exact: bool = False) -> Payload:
    """What the model gets for a sound pyarrow.Table, of Parquet or Arrow; `exact` as in `read_document`. Raises
    MalformedInput, SchemaViolation."""
    try:
        frame = table.to_pandas()
    except MemoryError:
        raise
    except Exception:  # what it says may quote cells
        raise MalformedInput(f"The body cannot be converted to a DataFrame{_culprit(table)}.") from None
    if not schema:
        return enforce(frame, schema)
    frame = _without_labels(frame, schema)
    if not exact:
        if missing := _missing_texts(frame, schema):
            raise SchemaViolation(missing)
        frame, violations = read_typed(frame, schema)
        if violations:
            raise SchemaViolation(sorted(violations, key=lambda v: v.row or 0)[:MAX_VIOLATIONS])
    return enforce(frame, schema, exact=exact)


def _missing_texts(frame: Any, schema: Schema) -> list[Violation]:
    """Missing cells of columns that arrays of text are made of."""
    found: list[Violation] = []
    for field in schema:
        if not isinstance(field, TensorField) or field.dtype.kind not in "US" or not frame.columns.is_unique:
            continue
        for name in frame.columns if field.name is None else frame.columns.intersection([field.name]):
            for row, cell in enumerate(frame[name].tolist()):
                items = leaves(cell.tolist() if isinstance(cell, np.ndarray) else cell)
                if why := next((why for item in items if (why := text_misfit(item, field.dtype))), ""):
                    found.append(Violation(why, row, name))
    return found[:MAX_VIOLATIONS]


def _without_labels(frame: Any, schema: Schema) -> Any:
    """Row labels are no input of a model that says what it takes; a column that pandas wrote as labels is."""
    named = {field.name for field in schema}
    wanted = [n for n in frame.index.names if n is not None and n in named and n not in frame.columns]
    kept = frame.reset_index(level=wanted) if wanted else frame
    return kept.reset_index(drop=True)


def _culprit(table: Any) -> str:
    """The first column that cannot become one of a frame, if a column is to blame."""
    for field, column in zip(table.schema, table.columns, strict=True):
        try:
            column.to_pandas()
        except Exception:
            return f": column {shortened(field.name)} has values that pandas cannot represent"
    return ": its metadata about the index or the columns is wrong"
