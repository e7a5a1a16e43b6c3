"""Every format in and out: the same rows give the same predictions, and kept columns stay what they were."""

from __future__ import annotations

import gzip
import io
import os
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import ipc

from penstock.errors import ConfigError, ScoringError
from penstock.loading import LoadedModel
from penstock.scoring.file_formats import FileFormat
from penstock.scoring.plan import ScoringOptions, Source
from penstock.scoring.read import decoding
from penstock.scoring.read.chunks import read_sources
from penstock.scoring.write.writers import open_writer
from penstock.signature import Field, Scalar, conform
from scoring.jobs import score

ENDINGS = ["csv", "csv.gz", "csv.zst", "tsv", "tsv.gz", "jsonl", "jsonl.gz", "jsonl.zst", "parquet", "arrow"]


def unpacked(path: Path) -> bytes:
    data = path.read_bytes()
    if path.suffix == ".gz":
        return gzip.decompress(data)
    return zstandard.ZstdDecompressor().stream_reader(data).read() if path.suffix == ".zst" else data


def write(frame: pd.DataFrame, path: Path) -> Path:
    kind = path.name.split(".")[1]
    if kind == "parquet":
        frame.to_parquet(path, row_group_size=40, index=False)
    elif kind == "arrow":
        table = pa.Table.from_pandas(frame, preserve_index=False)
        with ipc.new_file(str(path), table.schema) as writer:
            writer.write_table(table, max_chunksize=33)
    elif kind == "jsonl":
        frame.to_json(path, orient="records", lines=True)
    else:
        frame.to_csv(path, index=False, sep="\t" if kind == "tsv" else ",")
    return path


def read(path: Path) -> pd.DataFrame:
    kind = path.name.split(".")[1]
    if kind == "parquet":
        return pd.read_parquet(path)
    if kind == "arrow":
        return ipc.open_file(path.read_bytes()).read_all().to_pandas()
    if kind == "jsonl":
        return pd.DataFrame([orjson.loads(line) for line in unpacked(path).splitlines()])
    return pd.read_csv(io.BytesIO(unpacked(path)), sep="\t" if kind == "tsv" else ",")


@pytest.mark.parametrize("source", ENDINGS)
@pytest.mark.parametrize("target", ["csv", "parquet"])
def test_every_format_is_read(
    iris: LoadedModel, iris_frame: Any, iris_estimator: Any, tmp_path: Path, source: str, target: str
) -> None:
    frame = iris_frame.assign(id=range(150), word=[f'w"{i}, \t' for i in range(150)])
    rows = write(frame, tmp_path / f"rows.{source}")
    score(iris, rows, tmp_path / f"out.{target}", keep=("word", "id"), chunk_rows=64)
    out = read(tmp_path / f"out.{target}")
    assert list(out) == ["word", "id", "prediction"]
    assert out["prediction"].tolist() == iris_estimator.predict(iris_frame).tolist()
    assert out["word"].tolist() == frame["word"].tolist()
    assert out["id"].astype(int).tolist() == list(range(150))


@pytest.mark.parametrize("target", ENDINGS)
def test_every_format_is_written_the_same_each_time(
    iris: LoadedModel, iris_frame: Any, iris_estimator: Any, tmp_path: Path, target: str
) -> None:
    rows = write(iris_frame, tmp_path / "rows.parquet")
    out = tmp_path / f"out.{target}"
    score(iris, rows, out, keep=("*",), chunk_rows=64)
    pd.testing.assert_frame_equal(read(out)[list(iris_frame)], iris_frame)
    assert read(out)["prediction"].tolist() == iris_estimator.predict(iris_frame).tolist()
    first = out.read_bytes()
    score(iris, rows, out, keep=("*",), chunk_rows=64)
    assert out.read_bytes() == first, "the same rows give the same bytes"


def test_lineage_is_in_the_metadata_or_in_columns(iris: LoadedModel, iris_frame: Any, tmp_path: Path) -> None:
    rows = write(iris_frame, tmp_path / "rows.csv")
    score(iris, rows, tmp_path / "out.parquet")
    told = pq.read_schema(tmp_path / "out.parquet").metadata
    assert told == {
        b"penstock.model": b"model", b"penstock.version": b"1", b"penstock.digest": iris.digest.encode(),
    }  # fmt: skip
    score(iris, rows, tmp_path / "out.csv", lineage="columns")
    out = pd.read_csv(tmp_path / "out.csv", dtype=str)
    assert list(out) == ["prediction", "model_name", "model_version", "model_digest"]
    assert set(out["model_digest"]) == {iris.digest}
    score(iris, rows, tmp_path / "none.parquet", lineage="none")
    assert not pq.read_schema(tmp_path / "none.parquet").metadata


def test_directories_patterns_and_lists_are_read_in_order(iris: LoadedModel, iris_frame: Any, tmp_path: Path) -> None:
    data = tmp_path / "data"
    (data / "sub").mkdir(parents=True)
    for number, place in enumerate(["b.csv", "a.parquet", "sub/c.jsonl", "_hidden.csv", ".secret.csv"]):
        write(iris_frame.iloc[:10].assign(id=[f"{number}-{i}" for i in range(10)]), data / place)
    (data / "README.md").write_text("no rows")

    def ids(inputs: list[str]) -> list[str]:
        score(iris, inputs, tmp_path / "out.csv", keep=("id",))
        found: list[str] = pd.read_csv(tmp_path / "out.csv")["id"].str[0].unique().tolist()
        return found

    assert ids([str(data)]) == ["1", "0", "2"]
    assert ids([f"{data}/*.csv"]) == ["0"]
    assert ids([f"{data}/**/*.jsonl", f"{data}/b.csv"]) == ["2", "0"]
    with pytest.raises(ConfigError, match="No file matches"):
        ids([f"{data}/*.tsv"])
    with pytest.raises(ConfigError, match="given twice"):
        ids([str(data), f"{data}/b.csv"])
    os.mkdir(tmp_path / "empty")
    with pytest.raises(ConfigError, match="the directory is empty"):
        ids([str(tmp_path / "empty")])


numbers = st.one_of(
    st.floats(allow_nan=True, allow_infinity=True).map(repr),
    st.integers(-(2**70), 2**70).map(str),
    st.sampled_from(["", "NA", "nan", "null", " 5", "5 ", "+5", "-0", "007", "1_000", "0x1F", "1e5", "1e999", "x",
                     "5.0", "True", "inf", "-Infinity", '"7"', "\uff11", "1,5"]),
)  # fmt: skip


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], max_examples=150)
@given(cells=st.lists(numbers, min_size=1, max_size=4), type_=st.sampled_from(list(Scalar)[:5]), keep=st.booleans())
def test_a_column_parsed_whole_is_what_it_is_cell_by_cell(
    tmp_path: Path, cells: list[str], type_: Scalar, keep: bool
) -> None:
    source = tmp_path / "rows.csv"
    source.write_text("n,m\n" + "".join(f"{cell},1\n" for cell in cells))
    (chunk,) = read_sources((Source(str(source), FileFormat("csv")),), ScoringOptions(FileFormat("csv")))
    schema, kept = (Field("n", type_),), ("n",) if keep else ()
    quick = decoding._decode_whole(chunk, ",", schema, kept, kept)
    slow = decoding._decode_records(chunk, ",", Source("", FileFormat("csv")), schema, kept, kept)

    if quick is None:
        return
    assert not slow.rejects
    one, other = (conform(rows.table, schema, rows.casting) for rows in (quick, slow))
    assert [v.row for v in one.violations] == [v.row for v in other.violations]
    if one.violations:
        return
    np.testing.assert_array_equal(one.payload.column(0), other.payload.column(0))  # type: ignore[union-attr]
    assert quick.kept.to_pydict() == slow.kept.to_pydict()


cells = st.one_of(st.none(), st.text(max_size=5), st.just(""))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], max_examples=80)
@given(
    rows=st.lists(st.tuples(cells, st.none() | st.integers(-9, 9)), max_size=8),
    kind=st.sampled_from(["csv", "tsv", "jsonl"]),
)
def test_what_is_written_as_text_is_read_back(tmp_path: Path, rows: list[tuple[Any, Any]], kind: str) -> None:
    rows = [(t.replace("\r", "") if t else t, n) for t, n in rows]
    table = pa.table(
        {"t": pa.array([t for t, _ in rows], pa.string()), "n": pa.array([n for _, n in rows], pa.int64())}
    )
    path = tmp_path / f"x.{kind}"
    writer = open_writer(path, FileFormat(kind), table.schema, {})
    writer.write(table)
    writer.close()

    if kind == "jsonl":
        assert [tuple(orjson.loads(line).values()) for line in path.read_bytes().splitlines()] == rows
        return
    found = list(read_sources((Source(str(path), FileFormat(kind)),), ScoringOptions(FileFormat("csv"))))
    kept = [decoding.decode(c, Source(str(path), FileFormat(kind)), None, ("*",)).kept for c in found]
    assert [tuple(row.values()) for k in kept for row in k.to_pylist()] == [
        (t or "", "" if n is None else str(n)) for t, n in rows
    ]


def test_a_clash_of_names_is_refused(iris: LoadedModel, iris_frame: Any, tmp_path: Path) -> None:
    rows = write(iris_frame.assign(prediction=1), tmp_path / "rows.csv")
    with pytest.raises(ScoringError, match="column 'prediction', and so does the output"):
        score(iris, rows, tmp_path / "out.csv", keep=("*",))


def test_truncated_packed_files_are_refused(iris: LoadedModel, iris_frame: Any, tmp_path: Path) -> None:
    for ending in ("csv.gz", "csv.zst"):
        rows = write(iris_frame, tmp_path / f"rows.{ending}")
        rows.write_bytes(rows.read_bytes()[:-30])
        with pytest.raises(ScoringError, match="cannot be read"):
            score(iris, rows, tmp_path / "out.csv")


@pytest.mark.parametrize("ending", ["csv.gz", "csv.zst"])
def test_packed_files_put_together_are_read_to_the_end(
    iris: LoadedModel, iris_frame: Any, tmp_path: Path, ending: str
) -> None:
    text = iris_frame.to_csv(index=False).encode()
    pack = gzip.compress if ending == "csv.gz" else zstandard.ZstdCompressor().compress
    rows = tmp_path / f"rows.{ending}"
    rows.write_bytes(b"".join(pack(text[start : start + 1000]) for start in range(0, len(text), 1000)))
    assert score(iris, rows, tmp_path / "out.csv").rows_in == 150


def test_limit_counts_over_all_files(iris: LoadedModel, iris_frame: Any, tmp_path: Path) -> None:
    one, two = write(iris_frame, tmp_path / "a.csv"), write(iris_frame, tmp_path / "b.parquet")
    for limit in (1, 150, 151, 170, 1000):
        assert score(iris, [one, two], tmp_path / "out.csv", limit=limit, chunk_rows=40).rows_in == min(limit, 300)
