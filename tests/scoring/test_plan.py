"""Parts follow from the plan and the data alone; fingerprints tell what differs; shards share everything once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from penstock.errors import ConfigError
from penstock.scoring import find_sources
from penstock.scoring.file_formats import FileFormat, format_of
from penstock.scoring.plan import (
    JobLineage,
    ScoringOptions,
    ScoringPlan,
    Shard,
    Source,
    deal_files,
    differences,
    parse_shard,
)
from penstock.scoring.read.chunks import Chunk, Position, read_sources
from penstock.scoring.rejects import Tolerance, parse_tolerance

CSV = FileFormat("csv")


def rows_of(chunk: Chunk) -> list[int]:
    if isinstance(chunk.data, bytes):
        return [int(line) for line in chunk.data.split()]
    found: list[int] = chunk.data.column("n").to_pylist()
    return found


def write(directory: Path, counts: list[int], kind: str, group: int) -> tuple[Source, ...]:
    for old in directory.iterdir():
        old.unlink()
    first = 0
    for number, count in enumerate(counts):
        numbers = list(range(first, first + count))
        path = directory / f"{number}.{kind}"
        if kind == "csv":
            path.write_text("n\n" + "".join(f"{n}\n" for n in numbers))
        else:
            pq.write_table(pa.table({"n": pa.array(numbers, pa.int64())}), path, row_group_size=group)
        first += count
    return find_sources([str(directory)])


@pytest.mark.parametrize("kind", ["csv", "parquet"])
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], max_examples=60)
@given(
    counts=st.lists(st.integers(0, 23), min_size=1, max_size=3),
    part_rows=st.integers(1, 9),
    chunk_rows=st.integers(1, 9),
    chunk_bytes=st.integers(1, 60),
    group=st.integers(1, 9),
    limit=st.none() | st.integers(1, 30),
    data=st.data(),
)
def test_parts_hold_every_row_once_and_can_be_begun_at_any_part(
    tmp_path: Path, kind: str, counts: list[int], part_rows: int, chunk_rows: int, chunk_bytes: int, group: int,
    limit: int | None, data: Any,
) -> None:  # fmt: skip
    sources = write(tmp_path, counts, kind, group)
    options = ScoringOptions(CSV, part_rows=part_rows, chunk_rows=chunk_rows, chunk_bytes=chunk_bytes, limit=limit)
    told: list[tuple[int, int]] = []
    chunks = list(read_sources(sources, options, on_part=lambda *part: told.append(part)))

    everything = [n for chunk in chunks for n in rows_of(chunk)]
    assert everything == list(range(sum(counts)))[:limit], "every row once, in order"
    assert all(chunk.rows == len(rows_of(chunk)) <= chunk_rows for chunk in chunks)
    parts: dict[tuple[int, int], int] = {}
    for chunk in chunks:
        parts[chunk.source, chunk.part] = parts.get((chunk.source, chunk.part), 0) + chunk.rows
        assert chunk.row // part_rows == chunk.part, "a chunk stays in its part"
    assert list(parts) == told
    for (source, part), rows in parts.items():
        if (source, part + 1) in parts:
            assert rows == part_rows

    # A run that begins at any part reads the rest as the whole run did.
    begin = data.draw(st.sampled_from(list(parts)))
    later = [c for c in chunks if (c.source, c.part) >= begin]
    before = sum(c.rows for c in chunks if (c.source, c.part) < begin)
    ends = [c.end for c in chunks if c.source == begin[0] and c.part == begin[1] - 1]
    start = Position(begin[0], begin[1], begin[1] * part_rows, ends[-1] if ends else None)
    again = list(read_sources(sources, options, start=start, before=before))
    assert [(c.source, c.part, c.row, rows_of(c)) for c in again] == [
        (c.source, c.part, c.row, rows_of(c)) for c in later
    ]


@given(st.integers(1, 7), st.lists(st.integers(1, 9), min_size=1, max_size=5))
def test_each_part_has_one_shard_and_shares_are_even(count: int, parts_of: list[int]) -> None:
    shards = [Shard(i, count) for i in range(count)]
    for source, parts in enumerate(parts_of):
        owned = [[s.index for s in shards if s.owns(source, part)] for part in range(parts)]
        assert all(len(owners) == 1 for owners in owned)
        shares = [sum(1 for owners in owned if owners == [i]) for i in range(count)]
        assert max(shares) - min(shares) <= 1


@given(st.integers(1, 7), st.lists(st.integers(0, 1000), min_size=1, max_size=20))
def test_whole_files_are_dealt_where_that_is_even(count: int, sizes: list[int]) -> None:
    owners = deal_files([Source(f"{n}.csv", CSV, size) for n, size in enumerate(sizes)], count)
    if owners is None:
        assert count > 1
        return
    shares = [sum(size or 1 for size, owner in zip(sizes, owners, strict=True) if owner == i) for i in range(count)]
    assert set(owners) <= set(range(count))
    assert max(shares) <= 1.25 * sum(shares) / count


def test_files_are_dealt_so_that_shards_are_even() -> None:
    assert deal_files([Source(f"{n}.csv", CSV, 100) for n in range(6)], 3) == (0, 1, 2, 0, 1, 2)
    assert deal_files([Source("a.csv", CSV, 10), Source("b.csv", CSV, 30), Source("c.csv", CSV, 20)], 2) == (1, 0, 1)
    assert deal_files([Source("a.csv", CSV, 100), Source("b.csv", CSV, 100)], 3) is None


def test_what_is_not_wanted_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sources = write(tmp_path, [40, 40], "parquet", 5)
    groups: list[int] = []
    real = pq.ParquetFile.iter_batches

    def noted(file: Any, size: int, *, row_groups: list[int], **more: Any) -> Any:
        groups.extend(row_groups)
        return real(file, size, row_groups=row_groups, **more)

    monkeypatch.setattr(pq.ParquetFile, "iter_batches", noted)
    options = ScoringOptions(CSV, part_rows=12, chunk_rows=5)
    chunks = read_sources(sources, options, files={1}, wanted=lambda source, part: part == 2)
    assert [n for chunk in chunks for n in rows_of(chunk)] == list(range(64, 76))
    assert groups == [4, 5, 6, 7], "the third part of the second file, and none of the first"


@pytest.mark.parametrize("text", ["8/8", "-1/8", "1", "1/0", "a/b", "1/2/3", ""])
def test_a_shard_that_is_not_i_of_n_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="is not i/N"):
        parse_shard(text)


def test_differences_name_the_file_and_the_option() -> None:
    def plan(size: int, keep: tuple[str, ...], digest: str) -> ScoringPlan:
        sources = (Source("a.csv", CSV, size, "t"), Source("b.csv", CSV, 5, "t"))
        return ScoringPlan(JobLineage("m", "1", digest), sources, ScoringOptions(CSV, keep=keep), {"x": 1})

    one, other = plan(3, (), "aa").fingerprint(), plan(4, ("id",), "bb").fingerprint()
    assert differences(one, one) == []
    assert differences(one, other) == [
        "model digest was aa, is bb",
        "input a.csv size was 3, is 4",
        "options keep was [], is ['id']",
    ]


def test_an_input_more_is_a_difference() -> None:
    one = ScoringPlan(JobLineage("m", "1", "d"), (Source("a.csv", CSV, 1, "t"),), ScoringOptions(CSV)).fingerprint()
    two = ScoringPlan(
        JobLineage("m", "1", "d"), tuple(Source(p, CSV, 1, "t") for p in ("a.csv", "b.csv")), ScoringOptions(CSV)
    )
    assert differences(one, two.fingerprint())[0] == "input b.csv format was not there, is csv"


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("a.csv", "csv"), ("A.CSV", "csv"), ("a.b.tsv.gz", "tsv.gz"), ("x/y.jsonl.zst", "jsonl.zst"),
        ("a.ndjson", "jsonl"), ("a.parquet", "parquet"), ("a.feather", "arrow"), ("csv.gz", "csv.gz"),
        ("a.parquet.gz", "None"), ("a.txt", "None"), ("csv.d/a", "None"), ("", "None"),
    ],
)  # fmt: skip
def test_the_ending_of_a_name_tells_the_format(name: str, found: str) -> None:
    assert str(format_of(name)) == found


def test_a_tolerance_is_a_count_or_a_share() -> None:
    assert parse_tolerance("100") == Tolerance(count=100)
    assert parse_tolerance("0.1%") == Tolerance(share=0.001)
    assert not parse_tolerance(None).exceeded(10**9, 10**9, of_all=True)
    assert parse_tolerance("0").exceeded(1, 10**9, of_all=False)
    half = parse_tolerance("50%")
    assert not half.exceeded(9, 10, of_all=False), "a share of the first rows says nothing"
    assert half.exceeded(6, 10, of_all=True)
    assert not half.exceeded(5, 10, of_all=True)
    for text in ("-1", "x", "101%", "%", "nan%"):
        with pytest.raises(ConfigError, match="neither a number"):
            parse_tolerance(text)
