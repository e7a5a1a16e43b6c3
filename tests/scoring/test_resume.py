"""A job that is stopped anywhere goes on to the same bytes: every row once, in order."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pandas as pd
import pytest

from penstock.errors import ConfigError, Interrupted, JobDiffers, ScoringError
from penstock.loading import LoadedModel
from penstock.scoring import Shard, commit, finish
from penstock.scoring.read.text_records import RecordReader
from penstock.storage import atomic
from penstock.storage.files import LocalFileStore
from scoring.jobs import files, score, stopped_after, waiting_package

SHAPING: dict[str, Any] = {"part_rows": 75, "chunk_rows": 16, "keep": ("id",), "on_error": "skip"}


class Killed(BaseException):
    """No handler for failures catches it."""


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory, iris_frame: Any) -> Path:
    """A file of 150 rows with two bad ones, a Parquet file, an empty one and a packed one."""
    place = tmp_path_factory.mktemp("rows")
    frame = iris_frame.assign(id=range(150))
    text = frame.astype(str)
    text.loc[[3, 90], "sepal_width"] = "x"
    text.to_csv(place / "a.csv", index=False)
    frame.iloc[:0].to_csv(place / "b.csv", index=False)
    frame.to_parquet(place / "c.parquet", index=False, row_group_size=32)
    frame.iloc[:95].to_csv(place / "d.csv.gz", index=False)
    return place


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, iris: LoadedModel, rows: Path) -> dict[str, bytes]:
    place = tmp_path_factory.mktemp("whole")
    summary = score(iris, rows, f"{place}/", output_format="csv", **SHAPING)
    assert (summary.rows_in, summary.rows_out, summary.rejects, summary.parts) == (395, 393, 2, 7)
    return files(place)


def everything(place: Path) -> pd.DataFrame:
    return pd.concat([pd.read_csv(path) for path in sorted(place.glob("part-*.csv"))])


def test_the_parts_are_the_rows_in_order(tmp_path: Path, iris: LoadedModel, rows: Path) -> None:
    score(iris, rows, f"{tmp_path}/", output_format="csv", **SHAPING)
    expected = [i for i in range(150) if i not in (3, 90)] + list(range(150)) + list(range(95))
    assert everything(tmp_path)["id"].tolist() == expected


class Steps:
    """Counts the steps by which outputs and manifests change, and raises at one of them, before or after it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0
        self.stop_at: tuple[int, str] | None = None
        self._wrap(monkeypatch, atomic, "rename")
        self._wrap(monkeypatch, LocalFileStore, "append")
        self._wrap(monkeypatch, commit.JobManifest, "commit")

    def _wrap(self, monkeypatch: pytest.MonkeyPatch, owner: Any, name: str) -> None:
        step = getattr(owner, name)

        def stepped(*arguments: Any, **named: Any) -> Any:
            number = self.count
            self.count += 1
            if self.stop_at == (number, "before"):
                raise Killed
            result = step(*arguments, **named)
            if self.stop_at == (number, "after"):
                raise Killed
            return result

        monkeypatch.setattr(owner, name, stepped)


@pytest.mark.parametrize("when", ["before", "after"])
def test_resuming_after_a_kill_at_every_step_gives_the_same_bytes(
    tmp_path: Path, iris: LoadedModel, rows: Path, whole: dict[str, bytes], monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    steps = Steps(monkeypatch)
    counted = tmp_path / "counted"
    score(iris, rows, f"{counted}/", output_format="csv", **SHAPING)
    total = steps.count
    assert total > 3 * 7

    for number in range(total):
        target = tmp_path / "out"
        steps.count, steps.stop_at = 0, (number, when)
        with pytest.raises(Killed):
            score(iris, rows, f"{target}/", output_format="csv", **SHAPING)
        steps.count, steps.stop_at = 0, None
        score(iris, rows, f"{target}/", output_format="csv", resume=True, **SHAPING)
        assert files(target) == whole, f"stopped {when} step {number}"
        shutil.rmtree(target)


def test_a_torn_line_in_the_manifest_is_taken_away(
    tmp_path: Path, iris: LoadedModel, rows: Path, whole: dict[str, bytes]
) -> None:
    score(iris, rows, f"{tmp_path}/", output_format="csv", **SHAPING)
    manifest = tmp_path / "_manifest.jsonl"
    lines = manifest.read_bytes()
    for kept in range(0, len(lines), 97):
        manifest.write_bytes(lines[:kept])
        score(iris, rows, f"{tmp_path}/", output_format="csv", resume=True, **SHAPING)
        assert files(tmp_path) == whole
        assert all(orjson.loads(line) for line in manifest.read_bytes().splitlines())


def test_stopping_on_request_keeps_complete_parts(
    tmp_path: Path, iris: LoadedModel, rows: Path, whole: dict[str, bytes]
) -> None:
    with pytest.raises(Interrupted):
        score(
            iris,
            rows,
            f"{tmp_path}/",
            output_format="csv",
            stopped=stopped_after(12),
            **SHAPING,
        )
    done = sorted(p.name for p in tmp_path.glob("part-*"))
    assert 0 < len(done) < 7
    before = {name: (tmp_path / name).stat().st_mtime_ns for name in done}

    summary = score(iris, rows, f"{tmp_path}/", output_format="csv", resume=True, **SHAPING)

    assert files(tmp_path) == whole
    assert {name: (tmp_path / name).stat().st_mtime_ns for name in done} == before, "not made again"
    assert summary.resumed_rows == 75 * (len(done) - ("part-00001-000000.csv" in done))


def test_another_job_is_refused_with_the_difference_named(tmp_path: Path, iris: LoadedModel, rows: Path) -> None:
    source = tmp_path / "a.csv"
    shutil.copy(rows / "a.csv", source)
    target = f"{tmp_path}/out/"
    score(iris, source, target, output_format="csv", **SHAPING)

    with pytest.raises(ScoringError, match="is complete"):
        score(iris, source, target, output_format="csv", **SHAPING)
    with pytest.raises(JobDiffers, match=r"options keep was \['id'\], is \[\]"):
        score(iris, source, target, output_format="csv", resume=True, **(SHAPING | {"keep": ()}))
    with source.open("a") as file:
        file.write("1,2,3,4,5\n")
    with pytest.raises(JobDiffers, match=r"input .*a\.csv size was \d+, is \d+"):
        score(iris, source, target, output_format="csv", resume=True, **SHAPING)


def test_a_directory_is_for_one_job(tmp_path: Path, iris: LoadedModel, rows: Path) -> None:
    target = f"{tmp_path}/out/"
    score(iris, rows, target, output_format="csv", shard=Shard(0, 2), **SHAPING)
    with pytest.raises(JobDiffers, match="shards was 2, is 3"):
        score(iris, rows, target, output_format="csv", shard=Shard(1, 3), **SHAPING)
    with pytest.raises(JobDiffers, match="shards was 2, is 1"):
        score(iris, rows, target, output_format="csv", **SHAPING)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "mine.csv").write_text("precious")
    with pytest.raises(ConfigError, match=r"holds other files, mine\.csv among them"):
        score(iris, rows, f"{tmp_path}/data/", output_format="csv", **SHAPING)


def test_a_part_that_is_gone_is_noticed(tmp_path: Path, iris: LoadedModel, rows: Path) -> None:
    score(iris, rows, f"{tmp_path}/", output_format="csv", **SHAPING)
    (tmp_path / "part-00002-000001.csv").unlink()
    with pytest.raises(ScoringError, match=r"part-00002-000001\.csv .* is gone"):
        score(iris, rows, f"{tmp_path}/", output_format="csv", resume=True, **SHAPING)


def test_shards_together_are_the_whole(tmp_path: Path, iris: LoadedModel, rows: Path, whole: dict[str, bytes]) -> None:
    rejects = tmp_path / "rejects.jsonl"
    target = tmp_path / "out"
    for index in (2, 0):
        score(iris, rows, f"{target}/", output_format="csv", shard=Shard(index, 3), **SHAPING)
    with pytest.raises(ScoringError, match="not complete: 1/3"):
        finish(f"{target}/")
    with pytest.raises(Interrupted):
        score(
            iris, rows, f"{target}/", output_format="csv", shard=Shard(1, 3),
            stopped=stopped_after(6), **SHAPING,
        )  # fmt: skip
    with pytest.raises(ScoringError, match="not complete: 1/3"):
        finish(f"{target}/")
    score(iris, rows, f"{target}/", output_format="csv", shard=Shard(1, 3), resume=True, **SHAPING)

    done = finish(f"{target}/", str(rejects))

    assert (done.shards, done.parts, done.rows_in, done.rows_out, done.rejects) == (3, 7, 395, 393, 2)
    assert files(target) == whole
    assert [orjson.loads(line)["row"] for line in rejects.read_bytes().splitlines()] == [3, 90]


def test_shards_of_many_files_open_their_own_alone(
    tmp_path: Path, iris: LoadedModel, rows: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "in"
    source.mkdir()
    for number in range(4):
        shutil.copy(rows / "a.csv", source / f"{number}.csv")
    score(iris, source, f"{tmp_path}/whole/", output_format="csv", **SHAPING)
    opened: list[str] = []
    real = LocalFileStore.open

    def noted(self: LocalFileStore, path: str) -> Any:
        opened.append(Path(path).stem)
        return real(self, path)

    monkeypatch.setattr(LocalFileStore, "open", noted)
    for index in range(2):
        opened.clear()
        score(iris, source, f"{tmp_path}/shared/", output_format="csv", shard=Shard(index, 2), **SHAPING)
        own = [stem for stem in opened if stem.isdigit()]
        assert own == ["0", *[str(index), str(index + 2)]], "the first is looked at to decide the output's columns"
    assert finish(f"{tmp_path}/shared/").parts == 8
    assert files(tmp_path / "shared") == files(tmp_path / "whole")


@pytest.mark.parametrize(
    ("inputs", "chunks"),
    [(["a.csv"], 5), (["a.csv", "more.csv"], 5), (["a.csv", "more.csv"], 11), (["a.csv", "d.csv.gz"], 11)],
)
def test_a_shard_goes_on_where_its_last_part_ended(
    tmp_path: Path, iris: LoadedModel, rows: Path, monkeypatch: pytest.MonkeyPatch, inputs: list[str], chunks: int
) -> None:
    """Not at the beginning of the file; what the others have in files before it is still counted."""
    shutil.copy(rows / "a.csv", tmp_path / "more.csv")
    paths = [tmp_path / name if name == "more.csv" else rows / name for name in inputs]
    shaping = SHAPING | {"part_rows": 20, "output_format": "csv"}
    score(iris, paths, f"{tmp_path}/whole/", **shaping)
    monkeypatch.setattr("penstock.scoring.job.deal_files", lambda sources, shards: None)
    began: list[int] = []
    real = RecordReader.__init__

    def begin(self: RecordReader, *given: Any, start: int = 0, **more: Any) -> None:
        began.append(start)
        real(self, *given, start=start, **more)

    monkeypatch.setattr(RecordReader, "__init__", begin)
    for index in range(2):
        with pytest.raises(Interrupted):
            score(
                iris, paths, f"{tmp_path}/shared/", shard=Shard(index, 2),
                stopped=stopped_after(chunks - 1), **shaping,
            )  # fmt: skip
    for index in range(2):
        began.clear()
        score(iris, paths, f"{tmp_path}/shared/", shard=Shard(index, 2), resume=True, **shaping)
        assert any(began) != inputs[-1].endswith(".gz"), "a packed file cannot be entered in its middle"
    assert finish(f"{tmp_path}/shared/").parts == len(list((tmp_path / "whole").glob("part-*")))
    assert files(tmp_path / "shared") == files(tmp_path / "whole")


def test_a_job_killed_for_real_goes_on(tmp_path: Path, wait: Callable[..., None]) -> None:
    package, go = waiting_package(tmp_path / "model")
    source, out = tmp_path / "rows.csv", tmp_path / "out"
    source.write_text("a\n" + "".join(f"{n}.5\n" for n in range(1000)))
    command = [
        sys.executable, "-m", "penstock", "score", str(package), "--trust-code", str(source), "-o", f"{out}/",
        "--keep", "*", "--part-rows", "20", "--workers", "1",
    ]  # fmt: skip
    job = subprocess.Popen(command, stderr=subprocess.PIPE)
    try:
        wait(lambda: len(list(out.glob("part-*"))) >= 3 or job.poll() is not None)
    finally:
        job.send_signal(signal.SIGKILL)
        job.communicate()
    before = (out / "_manifest.jsonl").read_bytes().count(b'"part"')
    assert 0 < before < 50
    go.touch()

    subprocess.run([*command, "--resume"], check=True, capture_output=True)

    scored = b"".join(p.read_bytes().split(b"\n", 1)[1] for p in sorted(out.glob("part-*.csv")))
    assert scored == "".join(f"{n}.5,{n}.5\n" for n in range(1000)).encode()
    assert (out / "_SUCCESS").exists()


@pytest.fixture
def wait() -> Callable[..., None]:
    def until(condition: Callable[[], bool], seconds: float = 60) -> None:
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, "it did not come to pass"
            time.sleep(0.005)

    return until
