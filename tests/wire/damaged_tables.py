"""Columns of every kind, Arrow bytes made of them and damaged. As a script it reads many damaged bodies in every way
there is: whatever ends the process, ends this one, and the last line it wrote tells which body it was."""

from __future__ import annotations

import random
import sys
from io import BytesIO
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import ipc

from penstock.errors import PenstockError
from penstock.signature import Field, Scalar, Signature
from penstock.wire.columnar import open_arrow
from penstock.wire.mlflow.codec import BodyReader
from penstock.wire.mlflow.formats import ARROW

TEXT = ["abcdefgh" * 3, "zz", None, "long enough not to be inlined", "q"]
BYTES = [None if cell is None else cell.encode() for cell in TEXT]
LISTS = [[1, 2, 3], [], None, [4], [5, 6]]
RECORDS = [[{"s": "x"}, {"s": "yyyy"}], [], None, [{"s": "z"}], [{"s": None}]]

COLUMNS: dict[str, Any] = {
    "double": pa.array([1.0, 2.0, None, 4.0, 5.0]),
    "long": pa.array([1, 2, None, 4, 5]),
    "boolean": pa.array([True, False, None, True, True]),
    "decimal": pa.array([1, 2, 3, 4, None], pa.decimal128(10, 2)),
    "timestamp": pa.array([1, 2, 3, None, 5], pa.timestamp("us")),
    "zoned": pa.array([1, 2, 3, None, 5], pa.timestamp("us", "UTC")),
    "date": pa.array([1, 2, None, 4, 5], pa.date32()),
    "time": pa.array([1, 2, 3, 4, 5], pa.time64("us")),
    "fixed": pa.array([b"abcd", b"efgh", None, b"1234", b"5678"], pa.binary(4)),
    "string": pa.array(TEXT),
    "binary": pa.array(BYTES),
    "large_string": pa.array(TEXT, pa.large_string()),
    "large_binary": pa.array(BYTES, pa.large_binary()),
    "string_view": pa.array(TEXT, pa.string_view()),
    "binary_view": pa.array(BYTES, pa.binary_view()),
    "list": pa.array(LISTS, pa.list_(pa.int32())),
    "large_list": pa.array(LISTS, pa.large_list(pa.int32())),
    "pairs": pa.array([[1, 2], [3, 4], None, [5, 6], [7, 8]], pa.list_(pa.int32(), 2)),
    "map": pa.array([[("a", 1)], [("bb", 2)], None, [], [("d", 4)]], pa.map_(pa.string(), pa.int32())),
    "dictionary": pa.array(TEXT).dictionary_encode(),
    "struct": pa.array([{"a": 1, "s": "x"}, None, {"a": 3, "s": "z"}, {"a": 4, "s": None}, {"a": 5, "s": "yy"}]),
    "records": pa.array(RECORDS, pa.list_(pa.struct([("s", pa.string())]))),
    "views": pa.array(RECORDS, pa.list_(pa.struct([("s", pa.string_view())]))),
    "extension": pa.ExtensionArray.from_storage(
        pa.opaque(pa.string(), "kind", "vendor"), pa.array(["a", "bb", "ccc", "d", None])
    ),
}


def stream_of(column: Any, file: bool = False) -> bytes:
    sink = BytesIO()
    table = pa.table({"x": column})
    with (ipc.new_file if file else ipc.new_stream)(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue()


def damaged(body: bytes, chance: random.Random) -> bytes:
    """The body with some of its bytes, halves or whole words overwritten, by what offsets and lengths are forged of."""
    result = bytearray(body)
    for _ in range(chance.choice([1, 1, 2, 3])):
        at = chance.randrange(len(result) // 2 if chance.random() < 0.7 else 0, len(result) - 8)
        draw = chance.random()
        if draw < 0.3:
            result[at] = chance.randrange(256)
        else:
            dtype, width = (np.int32, 4) if draw < 0.65 else (np.int64, 8)
            at -= at % width
            cell = chance.choice([-1, 0, 1, 2, 3, 64, 100, 1000, 2**30, 2**31 - 1, np.iinfo(dtype).min])
            result[at : at + width] = np.array(cell, dtype).tobytes()
    return bytes(result)


def read_every_way(body: bytes) -> int:
    """In how many ways the body is read; a table that comes of it must be sound."""
    signature = Signature(inputs=(Field("x", Scalar.STRING),))
    read = 0
    for schema in (None, signature):
        for frames in (False, True):
            try:
                BodyReader(schema, frames=frames).read(ARROW, body)
                read += 1
            except PenstockError:
                pass
    try:
        table = open_arrow(body)
    except PenstockError:
        assert not read
        return 0
    table.validate(full=True)
    return read


def main(kind: str, bodies: int) -> None:
    read = 0
    for file in (False, True):
        sound = stream_of(COLUMNS[kind], file)
        for seed in range(bodies):
            sys.stdout.write(f"{kind} {file=} {seed=}\n")
            sys.stdout.flush()
            read += read_every_way(damaged(sound, random.Random(seed)))
    assert read, "every body was refused, so that nothing was tried"
    sys.stdout.write(f"{kind} through\n")
    sys.stdout.flush()


if __name__ == "__main__":
    for name in sys.argv[2:] or COLUMNS:
        main(name, int(sys.argv[1]))
