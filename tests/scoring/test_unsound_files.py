"""Columnar files that are damaged or forged: one sentence that names the file and the column, and no cell."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow import ipc

from penstock.cli.package.example_option import read_example_file
from penstock.errors import PackagingFailed, ScoringError
from penstock.loading import LoadedModel
from scoring.jobs import score

FORGED = np.array([0, 90, 50], np.int32).tobytes()


def forged_text(path: Path, frame: pa.Table, file: bool) -> Path:
    """Beside the columns of the model stands one of text, which is kept, and whose places are forged."""
    table = frame.slice(0, 2).append_column("note", pa.array(["secret" * 8, "zz"]))
    with (ipc.new_file if file else ipc.new_stream)(str(path), table.schema) as writer:
        writer.write_table(table)
    true = np.array([0, 48, 50], np.int32).tobytes()
    body = path.read_bytes()
    assert body.count(true) == 1
    path.write_bytes(body.replace(true, FORGED))
    return path


@pytest.fixture
def rows(iris_frame: object) -> pa.Table:
    return pa.Table.from_pandas(iris_frame, preserve_index=False)


@pytest.mark.parametrize("file", [True, False])
def test_forged_places_in_an_arrow_file_are_refused(
    iris: LoadedModel, rows: pa.Table, tmp_path: Path, file: bool
) -> None:
    path = forged_text(tmp_path / "rows.arrow", rows, file)
    with pytest.raises(ScoringError) as refusal:
        score(iris, path, tmp_path / "out.csv", keep=("note",))
    assert refusal.value.message == (
        f"{path} is damaged after row 0: column 'note' (string) has cells that point outside its data."
    )


def test_damage_in_a_later_batch_says_where_it_is(iris: LoadedModel, rows: pa.Table, tmp_path: Path) -> None:
    path, table = tmp_path / "rows.arrow", rows.append_column("note", pa.array([f"n{i:05}" for i in range(len(rows))]))
    with ipc.new_file(str(path), table.schema) as writer:
        writer.write_table(table, max_chunksize=50)
    path.write_bytes(path.read_bytes().replace(b"n00120", b"n\xff0120"))
    with pytest.raises(ScoringError, match=r"after row 100: column 'note' \(string\) holds text that is not UTF-8\.$"):
        score(iris, path, tmp_path / "out.csv", keep=("note",), chunk_rows=50)


def test_parquet_text_that_is_not_utf8_is_refused(iris: LoadedModel, rows: pa.Table, tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    table = rows.append_column("note", pa.array(["secret"] * len(rows)))
    pq.write_table(table, path, compression="none", write_statistics=False)
    path.write_bytes(path.read_bytes().replace(b"secret", b"s\xffcret"))
    with pytest.raises(ScoringError) as refusal:
        score(iris, path, tmp_path / "out.csv", keep=("note",))
    assert refusal.value.message == (
        f"{path} is damaged after row 0: column 'note' (string) holds text that is not UTF-8."
    )


def test_columns_that_are_not_asked_for_may_be_anything(iris: LoadedModel, rows: pa.Table, tmp_path: Path) -> None:
    """Nobody reads them, so nobody checks them."""
    path = forged_text(tmp_path / "rows.arrow", rows, file=True)
    score(iris, path, tmp_path / "out.csv")
    assert len((tmp_path / "out.csv").read_text().splitlines()) == 3


def test_a_file_that_is_cut_short_is_told_of_in_our_words(iris: LoadedModel, rows: pa.Table, tmp_path: Path) -> None:
    for name in ("rows.arrow", "rows.parquet"):
        path = tmp_path / name
        if name.endswith("arrow"):
            with ipc.new_stream(str(path), rows.schema) as writer:
                writer.write_table(rows)
        else:
            pq.write_table(rows, path)
        path.write_bytes(path.read_bytes()[:-100])
        with pytest.raises(ScoringError) as refusal:
            score(iris, path, tmp_path / "out.csv")
        said = "cannot be read after row 0: it is truncated, damaged or in another format."
        assert refusal.value.message == f"{path} {said}"


def test_cells_without_a_form_are_not_quoted(iris: LoadedModel, rows: pa.Table, tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    broken = rows.set_column(0, rows.schema.names[0], pa.array([2**62] * len(rows), pa.timestamp("us", "UTC")))
    pq.write_table(broken, path)
    with pytest.raises(ScoringError) as refusal:
        score(iris, path, tmp_path / "out.csv")
    assert refusal.value.message.startswith(f"{path}, rows from 0 on: Column {rows.schema.names[0]!r} has values")


def test_a_damaged_example_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "example.parquet"
    pq.write_table(pa.table({"note": ["secret"]}), path, compression="none", write_statistics=False)
    path.write_bytes(path.read_bytes().replace(b"secret", b"s\xffcret"))
    with pytest.raises(PackagingFailed) as refusal:
        read_example_file(path)
    assert refusal.value.message == (
        f"The example {path} cannot be used: column 'note' (string) holds text that is not UTF-8."
    )
