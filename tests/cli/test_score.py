"""`penstock score` as a user runs it: exit codes, streams, what is told where, going on after Ctrl-C."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import ipc

from penstock.cli.score.like_mlflow import answer
from penstock.loading import load_path
from penstock.package.save import save_model
from scoring.jobs import waiting_package
from support.commands import Here

HEADER = "sepal_length,sepal_width,petal_length,petal_width"
ROW = "5.1,3.5,1.4,0.2"


def penstock(*arguments: str | Path, cwd: Path, given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "penstock", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, cwd=cwd, timeout=120, input=given)


@pytest.fixture
def rows(tmp_path: Path, iris_frame: Any) -> Path:
    iris_frame.assign(id=range(150)).to_csv(tmp_path / "rows.csv", index=False)
    return tmp_path / "rows.csv"


def test_score_tells_model_files_workers_and_counts(iris_package: Path, rows: Path, tmp_path: Path, here: Here) -> None:
    done = here("score", iris_package, "rows.csv", "-o", "out.parquet", "--keep", "id")
    assert done.returncode == 0
    told = done.stderr.splitlines()
    digest = load_path(iris_package).digest[:12]
    assert told[0] == f"iris version {digest} ({digest})"
    assert told[1].startswith("rows.csv (csv, 2.")
    assert told[1].endswith("kB) to out.parquet (parquet)")
    assert told[2] == "1 worker"
    assert "150 read, 150 written, 0 rejected" in done.stdout
    assert pd.read_parquet(tmp_path / "out.parquet")["id"].astype(int).tolist() == list(range(150))


def test_json_prints_the_summary(iris_package: Path, rows: Path, tmp_path: Path, here: Here) -> None:
    done = here("score", iris_package, "rows.csv", "-o", "out/", "--part-rows", "40", "--json")
    told = json.loads(done.stdout)
    assert (told["rows_in"], told["rows_out"], told["rejects"], told["parts"]) == (150, 150, 0, 4)
    assert told["rows_per_second"] > 0
    assert told["total_seconds"] > told["seconds"] > 0  # loading and proving count as well
    assert told["peak_memory_bytes"] > 1e6
    assert sorted(os.listdir(tmp_path / "out")) == [
        "_SUCCESS", "_manifest.jsonl", *(f"part-00000-00000{i}.csv" for i in range(4))
    ]  # fmt: skip


def test_score_reads_and_writes_pipes(python_package: Path, tmp_path: Path) -> None:
    table = pa.table({"a": [float(i) for i in range(150)], "b": [1.0] * 150, "id": list(range(150))})
    words = ("score", "--trust-code", python_package, "-")
    done = penstock(
        *words, "--input-format", "csv", "-o", "-", "--output-format", "jsonl", "--keep", "id", cwd=tmp_path,
        given=table.to_pandas().to_csv(index=False).encode(),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["id"] for line in lines] == [str(i) for i in range(150)]

    sink = pa.BufferOutputStream()
    with ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table, max_chunksize=20)
    done = penstock(
        *words, "--input-format", "arrow", "-o", "-", "--output-format", "arrow", cwd=tmp_path,
        given=sink.getvalue().to_pybytes(),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert ipc.open_stream(done.stdout).read_all().num_rows == 150


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["rows.csv", "-o", "out.csv", "--max-errors", "lots"], 2, "must be a number of rows or a percentage"),
        (["rows.csv", "-o", "out.csv", "--resume"], 2, "Only a directory output can be resumed"),
        (["rows.csv", "-o", "out.csv", "--shard", "0/2"], 2, "--shard needs an output directory"),
        (["rows.csv", "-o", "out/", "--shard", "2/2"], 2, "must be i/N"),
        (["rows.csv", "-o", "out.csv", "--workers", "some"], 2, "must be a number or auto"),
        (["rows.csv"], 2, "Give -o OUTPUT"),
        (["rows.csv", "-o", "out.parquet.gz"], 2, "has no file extension that tells its format"),
        (["none.csv", "-o", "out.csv"], 2, "There is no file none.csv"),
        (["rows.csv", "-o", "rows.csv"], 2, "is the input"),
        (["rows.csv", "-o", "./"], 2, "holds the input"),
        (["rows.csv", "-o", "out.csv", "--params", "{"], 2, "--params is not JSON"),
        (["rows.csv", "-o", "out.csv", "--params", '{"x": 1}'], 0, ""),
        (["wrong.csv", "-o", "out.csv"], 2, "missing columns"),
        (["bad.csv", "-o", "out.csv"], 1, "bad.csv, row 1, column 'sepal_width'"),
        (["bad.csv", "-o", "out.csv", "--on-error", "skip"], 0, ""),
        (["bad.csv", "-o", "out.csv", "--on-error", "skip", "--max-errors", "1%"], 1, "1 of 2 rows were rejected"),
        (["rows.csv", "-o", "out.csv", "--keep", "colour"], 2, "no column 'colour'"),
        (["rows.csv", "-o", "out.csv", "--keep", "colour"], 2, "The input has: sepal_length, sepal_width"),
        (["rows.csv", "-o", "out.csv", "--rejects", "./rows.csv"], 2, "is an input or the output"),
        (["rows.csv", "-o", "out.csv", "--rejects", "out.csv"], 2, "is an input or the output"),
        (["--finish"], 2, "--finish takes only -o"),
    ],
)
def test_wrong_usage_exits_with_2_and_failures_with_1(
    iris_package: Path, rows: Path, tmp_path: Path, here: Here, arguments: list[str], code: int, said: str
) -> None:
    (tmp_path / "wrong.csv").write_text("a\n1\n")
    (tmp_path / "bad.csv").write_text(f"{HEADER}\n{ROW}\n1,x,1,1\n")
    done = here("score", iris_package, *arguments)
    assert (done.returncode, said in done.stderr) == (code, True), done.stderr
    assert (tmp_path / "out.csv").exists() == (code == 0)


def test_dry_run_writes_nothing(iris_package: Path, rows: Path, tmp_path: Path, here: Here) -> None:
    before = sorted(os.listdir(tmp_path))
    done = here("score", iris_package, "rows.csv", "--dry-run", "--keep", "id")
    assert done.returncode == 0
    assert "prediction" in done.stdout
    assert "Nothing was written" in done.stdout
    told = json.loads(here("score", iris_package, "rows.csv", "--dry-run", "--json").stdout)
    assert told["columns"] == {"prediction": "int64"}
    assert len(told["first_rows"]) == 5
    assert sorted(os.listdir(tmp_path)) == before


@pytest.mark.parametrize(
    ("number", "workers"),
    [
        (signal.SIGINT, "2"),
        (signal.SIGTERM, "1"),
        pytest.param(signal.SIGINT, "1", marks=pytest.mark.services),  # as quick as any, but there are many
        pytest.param(signal.SIGTERM, "2", marks=pytest.mark.services),
    ],
)
def test_a_signal_says_how_to_go_on_and_that_works(tmp_path: Path, number: signal.Signals, workers: str) -> None:
    package, go = waiting_package(tmp_path / "model")
    (tmp_path / "many rows.csv").write_text("a\n" + "".join(f"{n}\n" for n in range(2000)))
    job = subprocess.Popen(
        [
            sys.executable, "-m", "penstock", "score", package, "--trust-code", "many rows.csv", "-o", "out/",
            "--part-rows", "50", "--workers", workers,
        ],
        stderr=subprocess.PIPE, cwd=tmp_path, start_new_session=True,
    )  # fmt: skip
    end = time.monotonic() + 60
    while not list(tmp_path.glob("out/part-*")):
        assert time.monotonic() < end, "no part was written"
        time.sleep(0.005)
    os.killpg(job.pid, number)  # as a terminal does, and a service manager
    go.touch()
    _, told = job.communicate(timeout=60)
    assert job.returncode == 3, told
    assert not (tmp_path / "out" / "_SUCCESS").exists()
    resume = told.decode().splitlines()[-1].split()
    assert resume[:2] == ["penstock", "score"]

    again = penstock(*shlex.split(told.decode().splitlines()[-1])[1:], cwd=tmp_path)

    assert again.returncode == 0, again.stderr
    assert b"2,000 read" in again.stdout
    assert (tmp_path / "out" / "_SUCCESS").exists()
    scored = sum(p.read_bytes().count(b"\n") - 1 for p in tmp_path.glob("out/part-*"))
    assert scored == 2000


def test_finish_completes_the_shards_of_a_directory(iris_package: Path, rows: Path, tmp_path: Path, here: Here) -> None:
    for index in (1, 0):
        words = ["score", iris_package, "rows.csv", "-o", "out/", "--part-rows", "40", "--shard", f"{index}/2"]
        assert here(*words).returncode == 0
        assert not (tmp_path / "out" / "_SUCCESS").exists()
    done = here("score", "--finish", "-o", "out/")
    assert (done.returncode, done.stdout) == (0, "All 2 shards are complete: 4 parts, 150 rows, 0 rejects.\n")
    assert (tmp_path / "out" / "_SUCCESS").exists()


@pytest.mark.parametrize("content_type", [None, "json", "csv"])
def test_score_answers_like_mlflow_models_predict(
    iris_package: Path, iris_frame: Any, tmp_path: Path, here: Here, content_type: str | None
) -> None:
    if content_type == "csv":
        body = iris_frame.to_csv(index=False).encode()
    else:
        body = json.dumps({"dataframe_split": iris_frame.to_dict(orient="split")}).encode()
    (tmp_path / "in").write_bytes(body)
    words = ["-m", str(iris_package), *(["-t", content_type] if content_type else []), "--env-manager", "local"]

    filed = here("score", *words, "-i", "in", "-o", "out.json")

    expected = answer(load_path(iris_package), body, content_type or "json")
    assert expected.startswith('{"predictions": [0, 0, ')
    assert (filed.returncode, filed.stdout, (tmp_path / "out.json").read_text()) == (0, "", expected)
    if content_type is None:
        piped = penstock("score", *words, cwd=tmp_path, given=body)
        assert (piped.returncode, piped.stdout.decode()) == (0, expected)


class _Endpoint(BaseHTTPRequestHandler):
    answers: list[Any] = []
    asked: list[Any] = []

    def do_POST(self) -> None:
        self.asked.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
        body = json.dumps({"predictions": self.answers}).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def endpoint() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), _Endpoint)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def test_verify_against_compares_the_first_rows_with_an_endpoint(
    iris_package: Path, iris_estimator: Any, iris_frame: Any, rows: Path, tmp_path: Path, here: Here, endpoint: str
) -> None:
    _Endpoint.answers = iris_estimator.predict(iris_frame.iloc[:64]).tolist()
    words = ["score", iris_package, "rows.csv", "-o", "out.csv", "--verify-against"]
    done = here(*words, endpoint)
    assert done.returncode == 0
    assert "answers the first 64 rows the same" in done.stderr
    assert len(_Endpoint.asked[-1]["dataframe_split"]["data"]) == 64

    (tmp_path / "out.csv").unlink()
    _Endpoint.answers = [*_Endpoint.answers[:-1], 7]
    done = here(*words, endpoint)
    assert done.returncode == 1
    assert "answers differently" in done.stderr
    assert not (tmp_path / "out.csv").exists()
    assert here(*words, "http://127.0.0.1:1").returncode == 1


def test_files_are_scored_by_a_model_that_takes_one_array_of_texts(here: Here, tmp_path: Path) -> None:
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.naive_bayes import MultinomialNB
    from sklearn.pipeline import make_pipeline

    estimator = make_pipeline(CountVectorizer(), MultinomialNB()).fit(["good", "bad"], ["pos", "neg"])
    save_model(estimator, tmp_path / "model", example=np.array(["good", "bad"]))
    (tmp_path / "rows.csv").write_text("id,n,text\n1,7,good\n2,7,bad\n")
    refused = here("score", "model", "rows.csv", "-o", "out.csv", "--keep", "n")
    assert "the model takes one column, but the input has 2 ('id', 'text')" in refused.stderr
    command = refused.stderr.splitlines()[-1].partition(": ")[2].split()
    assert command[-2:] == ["--keep", "n,id"]
    assert here(*command[1:]).returncode == 0
    assert (tmp_path / "out.csv").read_text().split() == ["n,id,prediction", "7,1,pos", "7,2,neg"]
    (tmp_path / "gap.csv").write_text('text\ngood\n""\nbad\n')
    refused = here("score", "model", "gap.csv", "-o", "out2.csv")
    assert "gap.csv, row 1, column 'text': a missing value cannot be str." in refused.stderr


def test_an_optional_column_that_a_file_lacks_is_gaps_and_said(here: Here, tmp_path: Path) -> None:
    from sklearn.compose import make_column_transformer
    from sklearn.linear_model import LinearRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder

    frame = pd.DataFrame({"n": [0.0, 1.0, 2.0, 3.0], "city": ["a", None, "a", None]})
    columns = make_column_transformer((OneHotEncoder(), ["city"]), ("passthrough", ["n"]))
    save_model(make_pipeline(columns, LinearRegression()).fit(frame, [0, 11, 2, 13]), tmp_path / "m", example=frame)
    (tmp_path / "gaps.csv").write_text("n,city\n1,\n2,\n")
    (tmp_path / "without.csv").write_text("n\n1\n2\n")
    (tmp_path / "without.jsonl").write_text('{"n": 1}\n{"n": 2}\n')
    answers = []
    for name in ("gaps.csv", "without.csv", "without.jsonl"):
        done = here("score", "m", name, "-o", f"{name}.out.csv")
        assert done.returncode == 0, done.stderr
        assert ("has no column 'city': the model is given gaps there" in done.stderr) == name.startswith("without")
        answers.append((tmp_path / f"{name}.out.csv").read_text())
    assert answers[0] == answers[1] == answers[2]
    assert [round(float(line)) for line in answers[0].split()[1:]] == [11, 12]
