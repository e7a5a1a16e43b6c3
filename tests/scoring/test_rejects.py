"""A reject leads back to its row: by the kept columns, and by its place in the file, where its text stands."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import orjson
import pandas as pd
import pytest

from penstock.errors import TooManyRejects
from penstock.loading import LoadedModel
from penstock.scoring import Tolerance
from penstock.scoring.rejects import MOST_RAW, RawRow
from scoring.jobs import files, score
from scoring.test_bad_rows import HEADER, rejected

ROWS = (
    b"\xef\xbb\xbf" + HEADER.encode(),
    b"5.1,3.5,1.4,0.2,00017\r\n",
    b"\r\n \t\n\n",  # no rows
    b"6.7,x,5.2,2.3,9007199254740993\n",
    b"\n",
    b'6.7,"\xc3\xa4\ny",5.2,2.3,"a, ""b"""\r\n',
    b"5.9,3.0\n",
    b"\n",
    b"\xff,3.0,4.2,1.5,00018",
)
BAD = (ROWS[3].rstrip(), ROWS[5].rstrip(), ROWS[6].rstrip(), ROWS[8])
KEPT = [{"id": "9007199254740993"}, {"id": 'a, "b"'}, None, None]
SKIP: dict[str, Any] = {"keep": ("id",), "on_error": "skip"}


def check(told: list[dict[str, Any]], text: bytes) -> None:
    pieces = [text[r["byte_offset"] : r["byte_offset"] + r["byte_length"]] for r in told]
    assert pieces == list(BAD)
    assert [r["raw"] for r in told] == [piece.decode(errors="replace") for piece in pieces]
    assert [r["kept"] for r in told] == KEPT
    assert not any(r["raw_cut"] for r in told)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("chunk_rows", [1, 2, 100])
def test_rejects_of_csv_carry_kept_columns_place_and_text(
    iris: LoadedModel, tmp_path: Path, chunk_rows: int, packed: bool
) -> None:
    text = b"".join(ROWS)
    source = tmp_path / ("rows.csv.gz" if packed else "rows.csv")
    source.write_bytes(gzip.compress(text) if packed else text)

    score(iris, source, tmp_path / "out.csv", rejects=tmp_path / "bad.jsonl", chunk_rows=chunk_rows, **SKIP)

    assert (tmp_path / "out.csv").read_text() == "id,prediction\n00017,0\n"
    told = rejected(tmp_path / "bad.jsonl")
    assert [r["row"] for r in told] == [1, 2, 3, 4]
    check(told, text)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_resumed_job_leaves_the_same_rejects(iris: LoadedModel, tmp_path: Path, workers: int) -> None:
    source = tmp_path / "rows.csv"
    source.write_bytes(b"".join(ROWS))
    shaping: dict[str, Any] = {"output_format": "csv", "part_rows": 1, "chunk_rows": 1, **SKIP}
    score(iris, source, f"{tmp_path}/whole/", rejects=tmp_path / "bad.jsonl", **shaping)
    with pytest.raises(TooManyRejects):
        score(iris, source, f"{tmp_path}/cut/", tolerance=Tolerance(count=1), **shaping)
    assert not (tmp_path / "cut" / "_SUCCESS").exists()

    score(iris, source, f"{tmp_path}/cut/", resume=True, workers=workers, **shaping)

    assert files(tmp_path / "cut") == files(tmp_path / "whole")
    check(rejected(tmp_path / "bad.jsonl"), source.read_bytes())


def test_rejects_of_json_lines(iris: LoadedModel, tmp_path: Path) -> None:
    good = '{"sepal_length": 5, "sepal_width": 3.5, "petal_length": 1.4, "petal_width": 0.2, "id": 9007199254740993}'
    lines = [good, "", "7", good.replace(": 5,", ': "five",') + "\r", "  ", '{"']
    source = tmp_path / "rows.jsonl"
    source.write_bytes("\n".join(lines).encode())

    score(iris, source, tmp_path / "out.csv", rejects=tmp_path / "bad.jsonl", **SKIP)

    told = rejected(tmp_path / "bad.jsonl")
    assert [r["kept"] for r in told] == [None, {"id": 9007199254740993}, None]
    assert [r["raw"] for r in told] == ["7", lines[3].rstrip(), '{"']
    for r in told:
        assert source.read_bytes()[r["byte_offset"] :].startswith(r["raw"].encode())


def test_rejects_of_parquet_have_kept_columns_and_no_text(iris: LoadedModel, tmp_path: Path) -> None:
    frame = pd.DataFrame({name: ["1.0", "x"] for name in HEADER.strip().split(",")[:4]})
    frame["sepal_width"] = [1.0, float("inf")]
    frame = frame.assign(id=["00017", "00018"], day=pd.to_datetime(["2026-01-01", "2026-01-02"]), raw=[None, b"\xff"])
    frame.to_parquet(tmp_path / "rows.parquet")
    kept = ("id", "day", "raw")
    target, bad = tmp_path / "out.parquet", tmp_path / "bad.jsonl"

    score(iris, tmp_path / "rows.parquet", target, keep=kept, on_error="skip", rejects=bad)

    told = rejected(tmp_path / "bad.jsonl")
    assert [r["kept"]["id"] for r in told] == ["00018"]
    assert told[0]["kept"]["day"].startswith("2026-01-02")
    assert {(r["byte_offset"], r["raw"], r["raw_cut"]) for r in told} == {(None, None, False)}


def test_a_long_row_is_cut_and_says_so(iris: LoadedModel, tmp_path: Path) -> None:
    text = "x" * (MOST_RAW - 1) + "ä" * 10_000
    (tmp_path / "rows.csv").write_text(f"{HEADER}5.1,3.5,1.4,0.2,a\n{text}\n")

    score(iris, tmp_path / "rows.csv", tmp_path / "out.csv", rejects=tmp_path / "bad.jsonl", **SKIP)

    (told,) = rejected(tmp_path / "bad.jsonl")
    assert (told["raw"], told["raw_cut"]) == ("x" * (MOST_RAW - 1), True), "no half of a character"
    assert told["byte_length"] == len(text.encode())
    assert len(told["value"]) == MOST_RAW


def test_a_row_of_just_the_length_is_whole() -> None:
    assert not RawRow.of(0, b"x" * MOST_RAW).cut
    assert orjson.dumps(RawRow.of(3, b"\xff").text) == '"\ufffd"'.encode()
