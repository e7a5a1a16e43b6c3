"""Disks that are full, places that cannot be written, files that are larger than memory, all of them real."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from penstock.errors import ScoringError
from penstock.loading import LoadedModel
from scoring.jobs import files, score

HEADER = "sepal_length,sepal_width,petal_length,petal_width"
ROW = "5.1,3.5,1.4,0.2"


def penstock(*arguments: str | Path, stdout: int = subprocess.PIPE) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "penstock", "score", *map(str, arguments)]
    return subprocess.run(command, stdout=stdout, stderr=subprocess.PIPE, text=True, timeout=300)


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    source = tmp_path / "rows.csv"
    lines = [f"{i},{ROW}" if i % 997 else f"{i},x,1,1,1" for i in range(40_000)]
    source.write_text("\n".join([f"id,{HEADER}", *lines]))
    return source


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """Writing past so many bytes of a file fails, much as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_job_whose_disk_was_full_goes_on_when_there_is_room(iris: LoadedModel, rows: Path, tmp_path: Path) -> None:
    shaping: dict[str, Any] = {
        "output_format": "csv",
        "keep": ("id",),
        "on_error": "skip",
        "part_rows": 15_000,
        "chunk_rows": 4000,
    }
    score(iris, rows, f"{tmp_path}/whole/", **shaping)
    largest = max(p.stat().st_size for p in (tmp_path / "whole").glob("part-*"))

    # The first part has the shortest numbers, hence the fewest bytes.
    with files_of_at_most(largest - 1), pytest.raises(ScoringError, match=r"The output cannot be written: .*too large"):
        score(iris, rows, f"{tmp_path}/out/", **shaping)

    assert not [p for p in (tmp_path / "out").iterdir() if p.name.startswith(".")], "nothing half-written stays"
    assert 0 < len(list((tmp_path / "out").glob("part-*"))) < 3
    score(iris, rows, f"{tmp_path}/out/", resume=True, **shaping)
    assert files(tmp_path / "out") == files(tmp_path / "whole")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
def test_a_full_disk_behind_standard_output_is_said(iris_package: Path, rows: Path) -> None:
    with open("/dev/full", "wb") as full:
        ended = penstock(
            iris_package, rows, "-o", "-", "--output-format", "csv", "--on-error", "skip", stdout=full.fileno()
        )
    assert ended.returncode == 1, ended.stderr
    assert "cannot be written: " in ended.stderr
    assert "No space left" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize("output", ["out.csv", "out/"])
def test_a_place_that_is_read_only_is_named(iris: LoadedModel, rows: Path, tmp_path: Path, output: str) -> None:
    place = tmp_path / "place"
    place.mkdir(mode=0o500)
    if os.geteuid() == 0:  # who may write anywhere, but not there
        place = Path("/proc")
    with pytest.raises(ScoringError, match=str(place)):
        score(iris, rows, f"{place}/{output}", output_format="csv", on_error="skip")


def test_memory_does_not_grow_with_the_file(iris_package: Path, tmp_path: Path) -> None:
    line = f"{ROW},{'note ' * 200}\n".encode()
    peaks = []
    for megabytes in (64, 256):
        source = tmp_path / f"{megabytes}.csv"
        with source.open("wb") as file:
            file.write(f"{HEADER},note\n".encode())
            for _ in range(megabytes):
                file.write(line * ((1 << 20) // len(line)))
        ended = penstock(
            iris_package, source, "-o", tmp_path / "out.parquet", "--keep", "note", "--workers", "1", "--json"
        )
        assert ended.returncode == 0, ended.stderr
        peaks.append(json.loads(ended.stdout)["peak_memory_bytes"])
        source.unlink()
    assert peaks[1] < 1.2 * peaks[0], peaks
