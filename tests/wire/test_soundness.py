"""Arrow and Parquet bodies that point outside of themselves: one refusal that names the column, and nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow import ipc

from penstock.errors import MalformedInput
from penstock.signature import Field, Scalar, Signature
from penstock.wire.columnar import open_arrow, open_parquet
from penstock.wire.mlflow.codec import BodyReader
from penstock.wire.mlflow.formats import ARROW, PARQUET
from penstock.wire.soundness import find_fault
from wire import damaged_tables
from wire.damaged_tables import COLUMNS, stream_of

LETTERS = ["abcdefgh" * 8, "zz"]
# Kind of column -> its cells, the numbers that say where they are, and what a forger writes in their place: places past
# the end by far, which end a process, and by little, which show what lies beside.
FORGED: dict[str, tuple[Any, list[int], list[list[int]]]] = {
    "string": (pa.array(LETTERS), [0, 64, 66], [[0, 2**31 - 2, 2**31 - 1], [0, 64, 200], [0, -5, 66], [70, 64, 66]]),
    "binary": (pa.array([b"a" * 64, b"zz"]), [0, 64, 66], [[0, 2**31 - 2, 2**31 - 1], [0, 64, 200], [-8, 64, 66]]),
    "large_string": (pa.array(LETTERS, pa.large_string()), [0, 64, 66], [[0, 2**40, 2**40 + 1], [0, 64, 200]]),
    "large_binary": (pa.array([b"a" * 64, b"z"], pa.large_binary()), [0, 64, 65], [[0, 2**40, 2**41], [0, 64, 200]]),
    "list": (pa.array([[1] * 64, [2] * 2]), [0, 64, 66], [[0, 2**30, 2**30 + 1], [0, 64, 99], [-9, 64, 66]]),
    "large_list": (pa.array([[1] * 64, [2]], pa.large_list(pa.int64())), [0, 64, 65], [[0, 2**40, 2**41], [0, 64, 99]]),
    "map": (
        pa.array([[(i, i) for i in range(64)], [(1, 2)]], pa.map_(pa.int64(), pa.int64())),
        [0, 64, 65],
        [[0, 2**30, 2**30 + 1], [0, 64, 99]],
    ),
    "dictionary": (
        pa.DictionaryArray.from_arrays(pa.array([7] * 8, pa.int32()), pa.array(["a"] * 8)),
        [7] * 8,
        [[2**30] * 8, [8] * 8, [-1] * 8],
    ),
    "list<struct<string>>": (
        pa.array([[{"s": "a" * 64}], [{"s": "zz"}]]),
        [0, 64, 66],
        [[0, 2**31 - 2, 2**31 - 1], [0, 64, 200]],
    ),
    "string_view": (
        pa.array(LETTERS, pa.string_view()),
        [64, int.from_bytes(b"abcd", "little"), 0, 0],
        [
            [64, int.from_bytes(b"abcd", "little"), 0, 2**30],
            [64, 0, 5, 0],
            [200, int.from_bytes(b"abcd", "little"), 0, 0],
        ],
    ),
}


def forged_bodies() -> list[Any]:
    return [
        pytest.param(column, true, false, id=f"{kind} {position}")
        for kind, (column, true, forgeries) in FORGED.items()
        for position, false in enumerate(forgeries)
    ]


def forge(column: Any, true: list[int], false: list[int]) -> bytes:
    body = stream_of(column)
    dtype = np.int64 if str(column.type).startswith("large") else np.int32
    assert body.count(np.array(true, dtype).tobytes()) == 1
    return body.replace(np.array(true, dtype).tobytes(), np.array(false, dtype).tobytes())


def refused(body: bytes, media: str = ARROW) -> str:
    """What both readers say, for models with and without a signature."""
    said = set()
    for signature in (None, Signature(inputs=(Field("x", Scalar.STRING),))):
        for frames in (False, True):
            with pytest.raises(MalformedInput) as refusal:
                BodyReader(signature, frames=frames).read(media, body)
            said.add(refusal.value.message)
    (only,) = said
    return only


@pytest.mark.parametrize(("column", "true", "false"), forged_bodies())
def test_cells_that_point_outside_of_their_data_are_refused(column: Any, true: list[int], false: list[int]) -> None:
    said = refused(forge(column, true, false))
    assert said.startswith("The Arrow stream cannot be used: column 'x' (")
    assert said.endswith(("has cells that point outside its data.", "has fewer bytes than its cells need."))
    assert not any(str(number) in said for number in false if abs(number) > 10)


def test_gaps_are_checked_too() -> None:
    """pyarrow's own validation passes over them, and the conversion to frames follows them all the same."""
    column = pa.array(["a" * 20, None, "b" * 20], pa.string_view())
    validity, views, data = column.buffers()
    cells = np.frombuffer(views, np.int32).copy()
    cells[4:8] = [2**30, 0, 7, 2**30]
    forged = pa.Array.from_buffers(column.type, 3, [validity, pa.py_buffer(cells), data])
    forged.validate(full=True)
    assert "missing cells that point outside" in refused(stream_of(forged))
    inside = pa.StructArray.from_arrays([forged], names=["s"])
    assert "missing cells that point outside" in refused(stream_of(inside))


@pytest.mark.parametrize(
    ("column", "why"),
    [
        (pa.array([[1]], pa.list_view(pa.int32())), "list views"),
        (pa.array([{"a": [1]}], pa.struct([("a", pa.large_list_view(pa.int32()))])), "list views"),
        (pa.RunEndEncodedArray.from_arrays(pa.array([1], pa.int32()), pa.array(["a"])), "run-end encoded cells"),
        (pa.UnionArray.from_sparse(pa.array([0], pa.int8()), [pa.array([1])]), "unions"),
    ],
)
def test_kinds_of_columns_that_are_not_read_are_named(column: Any, why: str) -> None:
    assert refused(stream_of(column)) == (
        f"The Arrow stream cannot be used: column 'x' ({'struct' if pa.types.is_struct(column.type) else NAMES[why]}) "
        f"holds {why}, which are not supported."
    )


NAMES = {"list views": "nested", "run-end encoded cells": "nested", "unions": "union"}


def test_a_column_that_is_too_short_is_refused() -> None:
    body = stream_of(pa.array([1.0, 2.0, 3.0]))
    shorter = body.replace(np.array([24], np.int64).tobytes(), np.array([8], np.int64).tobytes())
    assert shorter != body
    assert "column 'x' (double) has fewer bytes than its cells need" in refused(shorter)


def test_columns_that_disagree_in_length_are_refused() -> None:
    batch = pa.RecordBatch.from_pydict({"x": [1, 2, 3], "y": [1, 2, 3]})
    sink = BytesIO()
    with ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    body = sink.getvalue()
    # A node is a length and a count of gaps; that of the second column comes after that of the first.
    nodes, forged = np.array([3, 0, 3, 0], np.int64).tobytes(), np.array([3, 0, 2, 0], np.int64).tobytes()
    assert body.count(nodes) == 1
    assert "Arrow stream" in refused(body.replace(nodes, forged))


def test_gaps_that_are_miscounted_are_refused() -> None:
    body = stream_of(pa.array([1.0, None, 3.0]))
    node = np.array([3, 1], np.int64).tobytes()
    assert body.count(node) == 1
    for count in (-7, 3):
        assert "column 'x'" in refused(body.replace(node, np.array([3, count], np.int64).tobytes()))


def test_text_that_is_not_utf8_says_so_and_not_what_it_is() -> None:
    for media, body in ((ARROW, stream_of(pa.array(["secret" * 4]))), (PARQUET, parquet_of(pa.array(["secret" * 4])))):
        said = refused(body.replace(b"secret", b"s\xffcret"), media)
        assert "column 'x' (string) holds text that is not UTF-8" in said
        assert "cret" not in said


def test_cells_that_their_type_does_not_allow_are_refused() -> None:
    body = stream_of(pa.array([86_399_999_999], pa.time64("us")))
    true, false = (np.array([cell], np.int64).tobytes() for cell in (86_399_999_999, 86_400_000_001))
    assert refused(body.replace(true, false)) == (
        "The Arrow stream cannot be used: column 'x' (time64[us]) has cells that its type does not allow."
    )


def test_a_column_name_that_is_not_utf8_is_refused() -> None:
    assert "is not" in refused(stream_of(pa.array([1])).replace(b"x\0\0\0", b"\xff\0\0\0"))


def parquet_of(column: Any) -> bytes:
    sink = BytesIO()
    pq.write_table(pa.table({"x": column}), sink, use_dictionary=False, compression="none", write_statistics=False)
    return sink.getvalue()


def test_cells_that_take_no_bytes_are_counted() -> None:
    body = stream_of(pa.nulls(3))
    node = np.array([3, 3], np.int64).tobytes()
    forged = body.replace(node, np.array([2**40, 2**40], np.int64).tobytes())
    forged = forged.replace(np.array([3], np.int64).tobytes(), np.array([2**40], np.int64).tobytes())
    assert "declares 1,099,511,627,776 cells" in refused(forged)
    claimed = pa.array([[None] * 7], pa.list_(pa.null()))
    body = stream_of(claimed)
    many = np.array([2**30], np.int64).tobytes()
    forged = body.replace(np.array([7], np.int64).tobytes(), many)
    forged = forged.replace(np.array([0, 7], np.int32).tobytes(), np.array([0, 2**30], np.int32).tobytes())
    assert "cells; the limit for one body is" in refused(forged)


@pytest.mark.parametrize(
    "column",
    [pa.array([2**62], pa.timestamp("us", "UTC")), pa.array([1], pa.timestamp("us", "Nowhere/Town"))],
    ids=["past the year 9999", "a zone that is none"],
)
def test_cells_without_a_form_are_not_quoted(column: Any) -> None:
    with pytest.raises(MalformedInput, match=r"^Column 'x' has values that Python cannot represent\.$"):
        BodyReader(None, frames=False).read(ARROW, stream_of(column))


def test_what_a_frame_cannot_hold_is_not_quoted() -> None:
    table = pa.table({"x": pa.array([1])}).replace_schema_metadata({"pandas": "{not JSON"})
    sink = BytesIO()
    with ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    with pytest.raises(MalformedInput, match="its metadata about the index or the columns is wrong"):
        BodyReader(None, frames=True).read(ARROW, sink.getvalue())


def test_two_columns_of_one_name_are_refused() -> None:
    table = pa.table([pa.array([1]), pa.array([2])], names=["x", "x"])
    sink = BytesIO()
    with ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    with pytest.raises(MalformedInput, match="two columns with the same name"):
        BodyReader(None, frames=False).read(ARROW, sink.getvalue())


@pytest.mark.parametrize("kind", COLUMNS)
def test_sound_columns_pass(kind: str) -> None:
    table = pa.table({"x": COLUMNS[kind]})
    for part in (table, table.slice(1, 3), table.slice(5), table.to_batches()[0].slice(2, 2)):
        assert find_fault(part) is None
    assert open_arrow(stream_of(COLUMNS[kind])).equals(table)
    assert open_arrow(stream_of(COLUMNS[kind], file=True)).equals(table)


def test_a_parquet_file_that_lies_about_its_rows_is_refused() -> None:
    body = parquet_of(pa.array([1.0] * 37))
    assert open_parquet(body).num_rows == 37
    at = body.rindex(b"\x16\x4a", 0, body.rindex(b"ARROW:schema"))  # 37 as the footer writes it, once for the group
    first = body.index(b"\x16\x4a", len(body) - 8 - int.from_bytes(body[-8:-4], "little"))
    for place in {at, first}:
        with pytest.raises(MalformedInput):
            open_parquet(body[:place] + b"\x16\x4c" + body[place + 2 :])


@pytest.fixture(scope="module")
def tried() -> Callable[[str], subprocess.CompletedProcess[str]]:
    """Damages a kind of column in a process of its own, since what this is about ends processes: in one for all kinds,
    and where that ended before this kind was through, in another one."""
    script = Path(damaged_tables.__file__)
    path = os.pathsep.join([str(script.parents[1]), *sys.path])

    def run(*kinds: str) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "PYTHONPATH": path}
        command = [sys.executable, str(script), "80", *kinds]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    together = run(*COLUMNS)
    through = {line.removesuffix(" through") for line in together.stdout.splitlines() if line.endswith(" through")}
    return lambda kind: subprocess.CompletedProcess([], 0, "", "") if kind in through else run(kind)


@pytest.mark.parametrize("kind", COLUMNS)
def test_whatever_is_damaged_is_refused_or_sound(
    kind: str, tried: Callable[[str], subprocess.CompletedProcess[str]]
) -> None:
    done = tried(kind)
    assert done.returncode == 0, (done.stdout.splitlines()[-1:], done.stderr[-2000:])
