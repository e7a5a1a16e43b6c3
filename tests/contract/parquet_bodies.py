"""Parquet bodies: columns of every Arrow type for columns of every declared type."""

from __future__ import annotations

import datetime as dt
import decimal
from collections.abc import Iterator
from io import BytesIO
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from contract.cells import good
from contract.corpus import Subject
from contract.requests import PARQUET, Request, request

MOMENT = dt.datetime(2024, 1, 2, 3, 4, 5, 678000)
DECIMALS = [decimal.Decimal("1.5"), decimal.Decimal("2.0")]

ARROW: dict[str, tuple[pa.DataType, list[Any]]] = {
    "bool": (pa.bool_(), [True, False]),
    "int8": (pa.int8(), [1, 2]),
    "int32": (pa.int32(), [1, 2]),
    "int64": (pa.int64(), [1, 2]),
    "int64 of 0 and 1": (pa.int64(), [0, 1]),
    "uint32": (pa.uint32(), [1, 2]),
    "uint64": (pa.uint64(), [1, 2]),
    "float32": (pa.float32(), [1.5, 2.5]),
    "float64": (pa.float64(), [1.5, 2.5]),
    "whole float64": (pa.float64(), [1.0, 2.0]),
    "string": (pa.string(), ["a", "é"]),
    "large_string": (pa.large_string(), ["a", "é"]),
    "dictionary": (pa.dictionary(pa.int32(), pa.string()), ["a", "b"]),
    "binary": (pa.binary(), [b"abc", b"\x00\xff"]),
    "timestamp[ns]": (pa.timestamp("ns"), [MOMENT, MOMENT]),
    "timestamp[us]": (pa.timestamp("us"), [MOMENT, MOMENT]),
    "timestamp[ms]": (pa.timestamp("ms"), [MOMENT, MOMENT]),
    "timestamp with zone": (pa.timestamp("us", "UTC"), [MOMENT, MOMENT]),
    "date32": (pa.date32(), [MOMENT.date(), MOMENT.date()]),
    "decimal": (pa.decimal128(5, 1), DECIMALS),
    "list of doubles": (pa.list_(pa.float64()), [[1.5], [2.5, 3.5]]),
    "list of integers": (pa.list_(pa.int64()), [[1], [2, 3]]),
    "struct": (pa.struct([("a", pa.int64())]), [{"a": 1}, {"a": 2}]),
    "null": (pa.null(), [None, None]),
}

_PLAIN = {
    "boolean": pa.bool_(),
    "integer": pa.int32(),
    "long": pa.int64(),
    "float": pa.float32(),
    "double": pa.float64(),
    "string": pa.string(),
    "binary": pa.binary(),
    "datetime": pa.timestamp("us"),
}


def parquet_bytes(columns: dict[str, pa.Array]) -> bytes:
    out = BytesIO()
    pq.write_table(pa.table(columns), out, compression="none", use_dictionary=False, write_statistics=False)
    return out.getvalue()


def parquet_cases(about: Subject) -> Iterator[Request]:
    """Tables as a whole for every package; for the echoes of one scalar type every Arrow type as well."""
    try:
        whole = {str(f.get("name", i)): _natural(f) for i, f in enumerate(about.inputs or ())}
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        return
    plain = parquet_bytes(whole)
    first = next(iter(whole))
    yield request("parquet", "good", plain, PARQUET)
    yield request("parquet", "no rows", parquet_bytes({k: v.slice(0, 0) for k, v in whole.items()}), PARQUET)
    yield request("parquet", "reordered", parquet_bytes(dict(reversed(whole.items()))), PARQUET)
    yield request("parquet", "extra column", parquet_bytes({"extra": pa.array([1, 2]), **whole}), PARQUET)
    renamed = {("other" if k == first else k): v for k, v in whole.items()}
    yield request("parquet", "missing column", parquet_bytes(renamed), PARQUET)
    yield request("parquet", "cut short", plain[: len(plain) // 2], PARQUET)
    yield request("parquet", "empty", b"", PARQUET)
    yield request("parquet", "not parquet", "abc", PARQUET)
    if about.thorough and len(whole) <= 2 and about.inputs and about.inputs[0]["type"] in _PLAIN:
        for case, (kind, cells) in ARROW.items():
            yield request("parquet", case, parquet_bytes({**whole, first: pa.array(cells, kind)}), PARQUET)
            gaps = pa.array([cells[0], None], kind)
            yield request("parquet", f"{case} with null", parquet_bytes({**whole, first: gaps}), PARQUET)


def _natural(field: dict[str, Any]) -> pa.Array:
    kind = field["type"]
    if kind == "datetime":
        return pa.array([MOMENT, MOMENT], _PLAIN[kind])
    if kind == "binary":
        return pa.array([b"abc", b""], _PLAIN[kind])
    return pa.array([good(field, 0), good(field, 1)], _PLAIN.get(kind))
