"""`penstock demo`, run as a person runs it, and its --stay."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.request import urlopen

import pytest

import penstock
from penstock.cli.demo.sample_models import MARKER, find_samples
from penstock.cli.demo.shell import DemoFailed

pytestmark = pytest.mark.services  # it needs none, but takes as long as all other commands together

COMMAND = [sys.executable, "-m", "penstock", "demo"]

# The demo's own commands must not see what a user has set for other work.
ENVIRONMENT = {**os.environ, "PENSTOCK_API_TOKEN": "secret", "PENSTOCK_TRUST_CODE": "1"}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo") / "work"


@pytest.fixture(scope="module")
def shown(place: Path) -> str:
    """What the whole demo prints, run once, in a directory that it keeps."""
    began = time.monotonic()
    done = subprocess.run(
        [*COMMAND, "--dir", str(place)], env=ENVIRONMENT, capture_output=True, text=True, timeout=180, check=False
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr
    assert done.stderr == ""
    assert time.monotonic() - began < 150
    return done.stdout


@pytest.mark.parametrize(
    "line",
    [
        r"\$ python .*sample_models/iris_sklearn/train\.py models/iris",
        r"\$ penstock package onnx models/breast-cancer/model\.onnx ",
        r"data-only: loading",
        r"Registered version 2 of iris",
        r"\$ penstock serve iris breast-cancer ",
        r"serving on http://127\.0\.0\.1:\d+",
        r"\$ curl -si http://127\.0\.0\.1:\d+/invocations -H 'Content-Type: application/json' ",
        r"X-Model-Version: 1",
        r"Server-Timing: decode;dur=",
        r'\{"predictions":\["virginica","versicolor"\]\}',
        r'\{"predictions":\["versicolor","virginica"\]\}',
        r'"probabilities":\[\[',
        r"moved from version 1 to version 2",
        r"moved back from version 2 to version 1",
        r'penstock_requests_total\{.*model="iris".*\} \d+',
        r"\$ penstock score iris models/iris/dataset\.csv ",
        r'5\.1,3\.5,1\.4,0\.2,"?setosa"?',
        r"\$ penstock score breast-cancer models/breast-cancer/dataset\.parquet ",
        r"\{'label': 0, 'probabilities_0': 0\.9",
        r"only with --trust-code",
        r"Error: Loading\s+\S+\s+would\s+run\s+code\s+from\s+the\s+package:\s+model\.py",
        r'"reasons":"body_mass_index',
        r'"out_of_range":true',
        r"\$ penstock hub --store hub --port 0",
        r"\$ export MLFLOW_TRACKING_URI=http://127\.0\.0\.1:\d+",
        r"logged 12 runs of experiment wine to http://127\.0\.0\.1:\d+",
        r"\$ penstock runs list wine --filter 'metrics\.f1 > 0\.9' --order-by 'metrics\.f1 DESC'",
        r"12 runs; the best is depth-\d-rate-[\d.]+, f1 0\.9",
        r"metrics\.f1 +0\.8\d+ +0\.9\d+ \(\+0\.\d+\)",
        r"wine, version 2",
        r"wine@production moved from version 1 to version 2",
        r"http://127\.0\.0\.1:\d+: version 2 answers",
        r'\{"predictions":\["class_1"\]\}',
        r'\{"predictions":\["class_2"\]\}',
        r"registered as version 2 of wine, production",
        r"loss +0\.\d+ +19 .* 20 +█",
        r"After SIGTERM the hub finished the requests in flight and exited with code 0\.",
        r"What to try next",
    ],
)
def test_demo_shows_each_of_its_steps(line: str, shown: str) -> None:
    assert re.search(line, shown), shown


def test_demo_loses_no_request_while_versions_change(shown: str) -> None:
    streams = re.findall(r"(\d+) requests, (\d+) failed; answered by version 1: (\d+), by version 2: (\d+);", shown)
    assert len(streams) == 2
    for total, failed, by_one, by_two in (map(int, stream) for stream in streams):
        assert failed == 0
        assert min(by_one, by_two) >= 100
        assert by_one + by_two == total


def test_demo_stops_its_servers_cleanly(shown: str) -> None:
    assert shown.count("After SIGTERM the server finished the requests in flight and exited with code 0.") == 3


def test_demo_prints_plain_text_to_a_pipe(shown: str) -> None:
    assert "\x1b" not in shown


def test_demo_leaves_scored_files(place: Path, shown: str) -> None:
    assert len((place / "iris-scored.csv").read_text(encoding="utf-8").splitlines()) == 151
    assert (place / "cancer-scored.parquet").is_file()


def test_stay_serves_what_the_demo_made_until_interrupted(place: Path, shown: str) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [*COMMAND, "--stay", "--dir", str(place), "--port", str(port)],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        lines = []
        for line in process.stdout:
            lines.append(line.strip())
            if line.startswith("serving on "):
                break
        assert lines[-1] == f"serving on http://127.0.0.1:{port}"
        assert any("trained, packaged and registered already" in line for line in lines)
        assert any(line.startswith(f"$ curl -si http://127.0.0.1:{port}/invocations") for line in lines)
        with urlopen(f"http://127.0.0.1:{port}/models", timeout=10) as answer:
            assert b'"iris"' in answer.read()
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.communicate()
    assert (place / MARKER).is_file()


def test_demo_leaves_a_directory_alone_that_is_not_its_own(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work", encoding="utf-8")
    done = subprocess.run(
        [*COMMAND, "--dir", str(tmp_path), "--no-keep"], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 1
    assert "is not empty and was not made by an earlier demo" in done.stderr
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.txt"]


def test_demo_asks_for_a_checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(penstock, "__file__", str(tmp_path / "lib" / "site-packages" / "penstock" / "__init__.py"))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DemoFailed, match="Run the demo from a checkout"):
        find_samples()
