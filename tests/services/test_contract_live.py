"""MLflow's real scoring server and ours, side by side on the same packages: the recorded answers are still its answers,
and ours over real sockets are the same as in process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from contract.compare import disagreement, recorded
from contract.corpus import PACKAGES
from contract.differences import DIFFERENCES
from contract.record import exchange
from contract.requests import name_of

pytestmark = pytest.mark.services

ROOT = Path(__file__).parents[2]
# One of each kind: columns, nested columns, arrays, a type hint, chat, params, scikit-learn, ONNX.
KINDS = [
    "echo_mixed",
    "echo_object",
    "echo_tensor",
    "hint_numbers",
    "chat_messages",
    "echo_params",
    "sklearn_skops_frame",
    "onnx_named_tensor",
]


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory, mlflow_python: Path) -> Path:
    """Recordings of today, made by the recorder itself into a place of its own."""
    place = tmp_path_factory.mktemp("recorded")
    code = "import pathlib, sys; from contract import record; record.RECORDED = pathlib.Path(sys.argv[1]); "
    command = [str(mlflow_python), "-c", f"{code}record.main(sys.argv[2:])", str(place), *KINDS]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "tests")}
    subprocess.run(command, env=environment, check=True, capture_output=True, timeout=300)
    return place


@contextmanager
def served(package: str) -> Iterator[HTTPConnection]:
    command = [sys.executable, "-m", "penstock", "serve", str(PACKAGES / package), "--trust-code", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line.startswith("serving on "), line
            with closing(HTTPConnection(urlsplit(line.split()[-1]).netloc, timeout=60)) as connection:
                yield connection
        finally:
            process.terminate()
            process.wait(30)


@pytest.mark.parametrize("package", KINDS)
def test_mlflow_answers_what_was_recorded(package: str, fresh: Path) -> None:
    now = json.loads((fresh / f"{package}.json").read_text(encoding="utf-8"))["exchanges"]
    assert now == recorded(package)["exchanges"]


@pytest.mark.parametrize("package", KINDS)
def test_our_server_answers_the_same(package: str, fresh: Path) -> None:
    exchanges = json.loads((fresh / f"{package}.json").read_text(encoding="utf-8"))["exchanges"]
    wrong: list[str] = []
    with served(package) as connection:
        for request in exchanges:
            ours, theirs = exchange(connection, request), request["answer"]
            different = disagreement(theirs, ours)
            if different and not any(d.accounts_for(package, request, theirs, ours) for d in DIFFERENCES):
                wrong.append(f"{name_of(request)}: {different}")
    assert not wrong, wrong[:5]
