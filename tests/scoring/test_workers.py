"""Workers change how fast a job is, never what it writes; and they end with it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import pandas as pd
import psutil
import pytest

from penstock.errors import CodeNotTrusted, ScoringError
from penstock.loading import LoadedModel, LoadOptions, load_path
from penstock.package.save import save_model
from penstock.scoring import JobLineage, ScoringOptions, ScoringPlan, Source, prepare
from penstock.scoring.file_formats import FileFormat
from penstock.scoring.plan import CHUNK_ROWS
from penstock.scoring.score import workers as workers_module
from penstock.scoring.score.workers import Deferred, Workers, ahead, choose_workers, working_time
from scoring.jobs import files, score, waiting_package

SHAPING: dict[str, Any] = {"part_rows": 50, "chunk_rows": 8, "keep": ("id",), "on_error": "null"}


@pytest.mark.parametrize("kind", ["iris_package", "iris_onnx_package"])
def test_the_bytes_do_not_depend_on_the_workers(
    request: pytest.FixtureRequest, kind: str, iris_frame: Any, tmp_path: Path
) -> None:
    model = load_path(request.getfixturevalue(kind), LoadOptions(threads=1))
    text = iris_frame.assign(id=range(150)).astype(str)
    text.loc[[3, 90], "sepal_width"] = "x"
    text.to_csv(tmp_path / "rows.csv", index=False)
    outputs = []
    for workers in (1, 2):
        target = tmp_path / str(workers)
        summary = score(model, tmp_path / "rows.csv", f"{target}/", output_format="parquet", workers=workers, **SHAPING)
        outputs.append(files(target))
    assert outputs[0] == outputs[1]
    assert str(summary.workers) == ("2 threads" if "onnx" in kind else "2 processes")


DIES = '''
"""Ends its process at row 100."""

import os

import numpy as np


class Model:
    def predict(self, inputs, params):
        numbers = np.asarray(inputs)[:, 0]
        if (numbers == 100).any():
            os._exit(9)
        return numbers
'''


def test_a_worker_that_dies_ends_the_job_with_a_word(tmp_path: Path) -> None:
    (tmp_path / "dies_model.py").write_text(DIES)
    package = save_model(tmp_path / "dies_model.py", tmp_path / "model", example=pd.DataFrame({"n": [1.0]}))
    model = load_path(package.path, LoadOptions(trust_code=True))
    pd.DataFrame({"n": range(150)}).to_csv(tmp_path / "rows.csv", index=False)
    with pytest.raises(ScoringError, match="worker process died"):
        score(
            model, tmp_path / "rows.csv", tmp_path / "out.csv", workers=2, chunk_rows=20,
            load=LoadOptions(trust_code=True),
        )  # fmt: skip
    assert not (tmp_path / "out.csv").exists()


def test_a_worker_that_cannot_load_the_model_says_why(tmp_path: Path, python_package: Path) -> None:
    model = load_path(python_package, LoadOptions(trust_code=True))
    pd.DataFrame({"a": [1.0], "b": [2.0]}).to_csv(tmp_path / "rows.csv", index=False)
    with pytest.raises(CodeNotTrusted):
        score(model, tmp_path / "rows.csv", tmp_path / "out.csv", workers=2, load=LoadOptions())


@pytest.mark.parametrize(
    ("wanted", "threads", "seconds", "chosen"),
    [
        (1, False, 1000.0, Workers("inline")),
        (3, False, 0.1, Workers("processes", 3)),
        (3, True, 0.1, Workers("threads", 3)),
        ("auto", True, 0.1, Workers("threads", 8)),
        ("auto", False, 3.0, Workers("inline")),
        ("auto", False, 100.0, Workers("processes", 8)),
        ("auto", False, None, Workers("processes", 8)),
    ],
)
def test_the_kind_and_number_of_workers_follow_from_the_work(
    wanted: Any, threads: bool, seconds: float | None, chosen: Workers
) -> None:
    assert choose_workers(wanted, 8, threads=threads, seconds=seconds) == chosen


def test_the_clock_stands_still_while_others_have_the_core(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = tmp_path / "schedstat"
    monkeypatch.setattr("penstock.machine.cores._SCHEDULED", told)
    monkeypatch.setattr(workers_module, "perf_counter", lambda: 100.0)
    assert working_time() == 100.0  # a system that does not tell
    told.write_text("7 2500000000 3\n")
    assert working_time() == 97.5


def test_ahead_makes_a_few_items_and_no_more() -> None:
    made: list[int] = []
    enough = threading.Event()

    def items() -> Iterator[int]:
        for number in range(100):
            made.append(number)
            if number == 3:
                enough.set()
            yield number

    with ahead(items(), depth=2) as given:
        assert next(given) == 0
        assert enough.wait(10)
        assert len(made) == 4, "one given, two waiting, one in hand"
        assert [next(given) for _ in range(5)] == [1, 2, 3, 4, 5]
    assert len(made) < 12


def test_ahead_raises_errors_in_their_turn() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise ScoringError("bad file")

    with ahead(items()) as given:
        assert next(given) == 1
        with pytest.raises(ScoringError, match="bad file"):
            next(given)


def test_what_fails_behind_is_raised_in_front() -> None:
    behind = Deferred()

    def fail() -> None:
        raise OSError("disk full")

    made: list[int] = []
    waiting = threading.Event()
    behind.call(waiting.wait, 60)
    behind.call(fail)
    waiting.set()
    with pytest.raises(OSError, match="disk full"):
        behind.drain()
    behind.call(made.append, 1)
    behind.drain()
    behind.close()
    assert not made, "what stands behind a failed call is not made"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="POSIX signals")
def test_workers_end_when_their_parent_is_killed(tmp_path: Path) -> None:
    package, go = waiting_package(tmp_path / "model")
    source = tmp_path / "rows.csv"
    source.write_text("a\n" + "".join(f"{n}\n" for n in range(1000)))
    job = subprocess.Popen(
        [
            sys.executable, "-m", "penstock", "score", package, "--trust-code", source, "-o", f"{tmp_path}/out/",
            "--workers", "2", "--part-rows", "50",
        ],
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    parent = psutil.Process(job.pid)
    while not list(tmp_path.glob("out/part-*")):
        assert job.poll() is None, "it ended before it could be killed"
        time.sleep(0.01)
    children = parent.children(recursive=True)
    assert len(children) >= 2
    job.send_signal(signal.SIGKILL)
    job.wait()
    go.touch()
    _, alive = psutil.wait_procs(children, timeout=20)
    assert not alive


@pytest.mark.parametrize(("rows", "known"), [(100, True), (CHUNK_ROWS, False)], ids=["short", "long"])
def test_a_short_stream_is_not_worth_a_second_process(
    iris: LoadedModel, iris_frame: Any, monkeypatch: pytest.MonkeyPatch, rows: int, known: bool
) -> None:
    header, row = iris_frame.head(1).to_csv(index=False).encode().splitlines(keepends=True)
    monkeypatch.setattr("penstock.scoring.read.chunks.open_bytes", lambda path: BytesIO(header + row * rows))
    plan = ScoringPlan(
        JobLineage("m", "1", iris.digest), (Source("-", FileFormat("csv")),), ScoringOptions(FileFormat("csv"))
    )
    seconds = prepare(plan, iris, LoadOptions(threads=1)).seconds
    assert (seconds is not None) is known
    if known:
        assert choose_workers("auto", 8, threads=False, seconds=seconds).kind == "inline"
