"""The second stage: parsed data against the signature. Strict, only widening; the same for JSON, CSV and Parquet."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from penstock.errors import SchemaViolation
from penstock.payload import MAX_VIOLATIONS, Name, Payload, Violation, shortened, some
from penstock.signature import ArrayOf, Field, Misfit, ObjectOf, Scalar, Schema, Type, is_tensor_schema
from penstock.signature.casts import not_whole
from penstock.signature.cell_texts import delimiter_told
from penstock.signature.gaps import are_rows, gap_column, leaves_gaps
from penstock.wire.mlflow.frames.faults import certain_fault, column_faults
from penstock.wire.mlflow.frames.frame_cells import enforce_cell
from penstock.wire.mlflow.frames.frame_columns import enforce_column
from penstock.wire.mlflow.frames.frame_payloads import is_frame, payload_of
from penstock.wire.mlflow.frames.frame_tensors import enforce_tensors


def enforce(data: Any, schema: Schema | None, *, exact: bool = False) -> Payload:
    """What the model gets: `data` in the schema's order and types, as a payload. Optional columns that are left out are
    gaps, unless it is to be `exact`ly MLflow's. Raises SchemaViolation."""
    if not schema:
        return payload_of(data)
    try:
        if is_tensor_schema(schema):
            return payload_of(enforce_tensors(data, schema))
        return payload_of(_enforce_columns(data, schema, fill_gaps=not exact))
    except (SchemaViolation, MemoryError):
        raise
    except Misfit as misfit:
        raise SchemaViolation([Violation(str(misfit))]) from None
    except Exception:  # whatever pandas finds wrong is the caller's, and what it says is for programmers
        raise SchemaViolation([Violation(f"the model's columns or arrays cannot be made of {_told(data)}")]) from None


def _told(data: Any) -> str:
    return f"a table of {len(data)} rows" if is_frame(data) else shortened(data)


def _enforce_columns(data: Any, schema: Schema, *, fill_gaps: bool) -> Any:
    import pandas as pd

    fields: tuple[Field, ...] = schema  # type: ignore[assignment]
    if not isinstance(data, pd.DataFrame):
        data = _as_frame(data, fields)
    if fields[0].name is None:
        if len(data.columns) < len(fields):
            raise Misfit(f"the model takes {len(fields)} columns, but the input has {len(data.columns)}")
        unnamed = _unnamed(data, fields)
        return _with_nan(unnamed, fields) if fill_gaps else unnamed
    gaps = fill_gaps and leaves_gaps(fields)
    _check_missing(data, fields, one_at_least=gaps and len(data.columns) > 0)
    named = _named(data, fields)
    if fill_gaps and are_rows(fields):
        named = _with_nan(named, [field for field in fields if field.name in named])
    return pd.DataFrame(dict(_with_gaps(named, fields, data.index))) if gaps else named


def _as_frame(data: Any, fields: tuple[Field, ...]) -> Any:
    """A frame of whatever else may be sent for columns."""
    import pandas as pd

    if np.isscalar(data):
        return pd.DataFrame([data])
    if isinstance(data, dict):
        return _frame_of_mapping(data, fields)
    if isinstance(data, (list, np.ndarray)):
        return pd.DataFrame(data)
    raise Misfit(f"the model takes columns, not {shortened(data)}")


def _frame_of_mapping(data: dict[str, Any], fields: tuple[Field, ...]) -> Any:
    """One row, where the schema nests or every value could be a cell; else columns."""
    import pandas as pd

    nested = any(isinstance(f.type, (ArrayOf, ObjectOf)) for f in fields)
    if nested or all(_could_be_cell(value) for value in data.values()):
        return pd.DataFrame([data])
    if all(isinstance(v, np.ndarray) and v.dtype.kind == "U" and v.shape == () for v in data.values()):
        return pd.DataFrame([data])
    deep = any(isinstance(v, np.ndarray) and v.ndim > 1 for v in data.values())
    lengths = {k: len(v) for k, v in data.items() if isinstance(v, list) or (isinstance(v, np.ndarray) and v.ndim)}
    if len(set(lengths.values())) > 1:
        found = ", ".join(f"{shortened(name)}: {n}" for name, n in list(lengths.items())[:8])
        raise Misfit(f"the columns must have the same length ({found})")
    if deep:
        data = {k: v.tolist() if isinstance(v, np.ndarray) and v.ndim > 1 else v for k, v in data.items()}
    return pd.DataFrame(data)


def _could_be_cell(value: Any) -> bool:
    if isinstance(value, list):
        return all(isinstance(item, str) for item in value)
    return value is None or bool(np.isscalar(value))


def _check_missing(frame: Any, fields: tuple[Field, ...], *, one_at_least: bool) -> None:
    """Raises SchemaViolation where a required column is missing, or where there is none of the model's at all."""
    present = set(frame.columns)
    missing = [f.name for f in fields if f.required and f.name not in present]
    if one_at_least and present.isdisjoint(f.name for f in fields):
        missing = [f.name for f in fields]
    if missing:
        known = {f.name for f in fields}
        extra = [name for name in frame.columns if name not in known]
        note = f"; unknown columns: {some(extra)}" if extra else ""
        raise SchemaViolation([Violation(f"missing columns: {some(missing)}{note}{delimiter_told(missing, extra)}")])


def _named(frame: Any, fields: tuple[Field, ...]) -> Any:
    import pandas as pd

    return pd.DataFrame({f.name: _column(frame[f.name], f, f.name, f.required) for f in fields if f.name in frame})


_BOOLEANS = {bool, np.bool_, float, type(None)}


def _with_nan(frame: Any, fields: Sequence[Field]) -> Any:
    """The frame of these fields' columns, with NaN for null beside true and false, as it is in the files that models
    are fitted on."""
    for label, field in zip(frame.columns, fields, strict=True):
        column = frame[label]
        if field.type is Scalar.BOOLEAN and column.dtype == object and set(map(type, column)) <= _BOOLEANS:
            frame[label] = column.fillna(np.nan)
    return frame


def _with_gaps(frame: Any, fields: tuple[Field, ...], index: Any) -> Iterator[tuple[Name, Any]]:
    """All columns; an optional one that is left out is gaps, and one of text that is null in every row as well: alone,
    a row would be answered otherwise than beside others, where pandas makes NaN of its null."""
    for field in fields:
        assert field.name is not None
        given = frame.get(field.name)
        if given is None or (not field.required and field.type is Scalar.STRING and _all_null(given)):
            given = _gaps(field.type, index)
        yield field.name, given


def _all_null(values: Any) -> bool:
    return values.dtype == object and all(cell is None for cell in values)


def _gaps(type_: Type, index: Any) -> Any:
    import pandas as pd

    if type_ is Scalar.STRING:
        return pd.Series(np.nan, index=index, dtype=pd.Series([""]).dtype)
    return pd.Series(gap_column(type_, len(index)), index=index)


def _unnamed(frame: Any, fields: tuple[Field, ...]) -> Any:
    import pandas as pd

    names = frame.columns[: len(fields)]
    return pd.DataFrame(
        {name: _column(frame[name], field, name, required=True) for name, field in zip(names, fields, strict=True)}
    )


def _column(values: Any, field: Field, label: Any, required: bool) -> Any:
    """Raises SchemaViolation with the rows where it can tell them."""
    import pandas as pd

    type_ = field.type
    if isinstance(type_, Scalar):
        try:
            return enforce_column(values, type_)
        except Misfit as misfit:
            if values.dtype.kind == "f" and (bad := not_whole(values.to_numpy(), type_, MAX_VIOLATIONS)):
                raise SchemaViolation([Violation(why, row, label) for row, why in bad]) from None
            raise SchemaViolation([Violation(str(misfit), 0 if len(values) else None, label)]) from None
        except (SchemaViolation, MemoryError):
            raise
        except Exception:
            if values.ndim > 1:
                raise SchemaViolation([Violation(f"duplicate columns: {shortened(label)}")]) from None
            raise SchemaViolation(column_faults(values, type_, label)) from None
    cells, violations = [], []
    for row, cell in enumerate(values):
        try:
            cells.append(enforce_cell(cell, type_, required=required))
        except MemoryError:
            raise
        except Misfit as misfit:
            violations.append(Violation(str(misfit), row, label))
        except Exception:
            violations.append(Violation(certain_fault(cell, type_), row, label))
        else:
            continue
        if len(violations) == MAX_VIOLATIONS:
            break
    if violations:
        raise SchemaViolation(violations)
    return pd.Series(cells, index=values.index, name=label)
