"""`penstock doctor` and `penstock ping`, as a user runs them."""

from __future__ import annotations

import errno
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from penstock.cli.doctor import checks
from penstock.cli.doctor.readers import readers
from penstock.cli.ping import ping
from penstock.config import Settings
from penstock.package.seal import write_seal
from server.conftest import Launch, launch  # noqa: F401
from support.commands import Here


def run(directory: Path, *arguments: object, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PENSTOCK_")} | variables
    command = [sys.executable, "-m", "penstock", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=directory, timeout=120, env=environment)


Findings = Callable[..., tuple[int, dict[str, list[dict[str, str]]]]]


@pytest.fixture
def findings(here: Here) -> Findings:
    """Exit code, and the findings by what was looked at."""

    def run(*arguments: object, **variables: str) -> tuple[int, dict[str, list[dict[str, str]]]]:
        done = here("doctor", "--json", *arguments, **variables)
        found: dict[str, list[dict[str, str]]] = {}
        for one in json.loads(done.stdout):
            found.setdefault(one["what"], []).append(one)
        return done.returncode, found

    return run


class TestDoctor:
    def test_a_broken_example_is_named_and_costs_no_other_model(
        self, findings: Findings, iris_package: Path, tmp_path: Path
    ) -> None:
        package = shutil.copytree(iris_package, tmp_path / "package")
        (package / "serving_input_example.json").write_text('{"dataframe_split": [NaN')
        write_seal(package)
        code, found = findings(f"broken={package}", f"iris={iris_package}")
        assert code == 0
        assert [(one["state"], "serving_input_example.json" in one["found"]) for one in found["broken"]] == [
            ("ok", False),
            ("look", True),
        ]
        assert [one["state"] for one in found["iris"]] == ["ok"]

    def test_a_model_that_works_is_ok(self, findings: Findings, iris_package: Path) -> None:
        code, found = findings(f"iris={iris_package}")
        assert code == 0
        assert [f["state"] for f in found["iris"]] == ["ok"]
        assert "sklearn" in found["iris"][0]["found"]
        assert "registry" not in found  # nobody needs one

    def test_the_report_counts_what_fails(self, iris_package: Path, tmp_path: Path) -> None:
        done = run(tmp_path, "doctor", f"iris={iris_package}", tmp_path / "nothing")
        assert done.returncode == 1
        assert "There is nothing at" in done.stdout
        assert done.stdout.rstrip().endswith("1 that fail.")
        assert not any(line.endswith(" ") for line in done.stdout.splitlines())

    def test_the_model_of_a_platform_is_found(self, findings: Findings, iris_package: Path) -> None:
        code, found = findings(SM_MODEL_DIR=str(iris_package))
        assert (code, [f["state"] for f in found["model"]]) == (0, ["ok"])

    def test_a_package_that_carries_code_needs_trust(self, findings: Findings, python_package: Path) -> None:
        code, found = findings(f"m={python_package}")
        assert code == 1
        assert found["m"][1]["state"] == "fails"
        assert "--trust-code" in found["m"][1]["advice"]
        code, found = findings(f"m={python_package}", "--trust-code")
        assert all("code" not in f["found"] for f in found["m"])

    def test_a_library_of_another_version_is_named(
        self, findings: Findings, iris_package: Path, tmp_path: Path
    ) -> None:
        old = tmp_path / "old"
        shutil.copytree(iris_package, old)
        (old / "SHA256SUMS").unlink()
        manifest = (old / "MLmodel").read_text().splitlines(keepends=True)
        (old / "MLmodel").write_text(
            "".join("    sklearn_version: 1.2.0\n" if "sklearn_version" in line else line for line in manifest)
        )
        code, found = findings(f"old={old}")
        assert code == 0
        assert found["old"][1]["state"] == "look"
        assert "scikit-learn==1.2.0" in found["old"][1]["advice"]
        code, _ = findings(f"old={old}", PENSTOCK_STRICT_ENV="1")
        assert code == 1

    def test_a_damaged_package_fails_with_the_file_named(
        self, findings: Findings, iris_package: Path, tmp_path: Path
    ) -> None:
        broken = tmp_path / "broken"
        shutil.copytree(iris_package, broken)
        with (broken / "requirements.txt").open("a") as file:
            file.write("more\n")
        code, found = findings(f"broken={broken}")
        assert code == 1
        assert "requirements.txt" in found["broken"][0]["found"]

    def test_a_registry_is_asked_for_its_models(self, here: Here, findings: Findings, iris_package: Path) -> None:
        assert here("registry", "add", "iris", iris_package, "--alias", "production").returncode == 0
        code, found = findings("iris", "models:/other@production")
        assert code == 1
        assert found["registry"][0]["state"] == "ok"
        assert "version 1" in found["iris"][0]["found"]
        assert found["other"][0]["state"] == "fails"

    def test_a_pattern_lists_the_models_it_matches(self, here: Here, findings: Findings, iris_package: Path) -> None:
        assert here("registry", "add", "team-iris", iris_package, "--alias", "production").returncode == 0
        code, found = findings("team-*", "other-*")
        assert code == 0
        (one,), (none,) = (found[f"models:/{name}-*@production"] for name in ("team", "other"))
        assert (one["state"], none["state"]) == ("ok", "look")
        assert "'team-iris'" in one["found"]

    def test_a_registry_that_does_not_answer_fails(self, findings: Findings) -> None:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            url = f"http://127.0.0.1:{taken.getsockname()[1]}"
            code, found = findings("iris", PENSTOCK_REGISTRY=url)
        assert code == 1
        assert found["registry"][0]["state"] == "fails"
        assert found["iris"][0]["state"] == "fails"

    def test_a_password_is_not_shown(self, here: Here) -> None:
        done = here("doctor", PENSTOCK_REGISTRY="http://me:secret@127.0.0.1:9")
        assert "secret" not in done.stdout + done.stderr

    def test_a_cache_that_cannot_be_written_fails(self, findings: Findings, unwritable: Path) -> None:
        code, found = findings("fraud", PENSTOCK_CACHE=str(unwritable))
        assert (code, found["cache"][0]["state"]) == (1, "fails")

    def test_a_cache_that_is_a_file_fails(self, findings: Findings, tmp_path: Path) -> None:
        (tmp_path / "cache").write_text("")
        code, found = findings("fraud", PENSTOCK_CACHE=str(tmp_path / "cache"))
        assert (code, found["cache"][0]["state"]) == (1, "fails")

    def test_an_address_for_everybody_without_a_token_is_advised_against(self, findings: Findings) -> None:
        _, found = findings(PENSTOCK_HOST="0.0.0.0")
        assert "PENSTOCK_API_TOKEN" in found["address"][0]["advice"]
        _, found = findings(PENSTOCK_HOST="0.0.0.0", PENSTOCK_API_TOKEN="x")
        assert found["address"][0]["state"] == "ok"

    def test_a_file_of_tokens_is_looked_at(self, findings: Findings, tmp_path: Path) -> None:
        file = tmp_path / "tokens"
        for content, state, said in (
            (f"shop predict {'0' * 64}", "ok", "1 in"),
            ("", "look", "0 in"),
            ("pst_secret", "fails", "line 1 must be NAME ROLE SHA256"),
        ):
            file.write_text(content)
            _, found = findings(PENSTOCK_HOST="0.0.0.0", PENSTOCK_TOKENS_FILE=str(file))
            assert (found["tokens"][0]["state"], said in found["tokens"][0]["found"]) == (state, True), found["tokens"]
            assert found["address"][0]["state"] == "ok"
        _, found = findings(PENSTOCK_TOKENS_FILE=str(tmp_path / "none"))
        assert found["tokens"][0]["state"] == "fails"


@pytest.mark.parametrize(
    ("settings", "memory", "found", "advice"),
    [
        ({"readers": 2}, 16 << 30, "up to 2 processes", ""),
        ({"readers": 2, "workers": 3}, None, "up to 6 processes", ""),
        ({"readers": 2, "reader_memory": "100MiB"}, 400 << 20, "of 104.9 MB each", ""),
        ({"readers": 2, "max_body_bytes": 1 << 20}, 1 << 30, "up to 2", ""),  # no body of 1 MiB takes more than 152 MiB
        ({"readers": 2}, 1 << 30, "there are 1.1 GB", "--reader-memory 256MiB"),
        ({"readers": 2, "workers": 2}, 1 << 30, "up to 4 processes", "--reader-memory 128MiB"),
        ({"readers": 4}, 256 << 20, "up to 4 processes", "--reader-memory 64MiB"),
    ],
)
def test_readers_that_may_take_more_memory_than_there_is_are_advised_against(
    settings: dict[str, Any], memory: int | None, found: str, advice: str
) -> None:
    seen = readers(Settings(**settings), memory)
    assert found in seen.found
    assert advice in seen.advice
    assert (seen.state == "ok") == (not advice)


def test_a_system_without_files_in_memory_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> int:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "memfd_create", refused)
    seen = readers(Settings(), None)
    assert seen.state == "look"
    assert "no files in memory here (Operation not permitted)" in seen.found


@pytest.mark.parametrize(
    ("settings", "cores", "quota", "advice"),
    [
        ({}, 4, None, ""),
        ({"workers": 8}, 4, None, "--workers 4"),
        ({"workers": 0}, 4, None, ""),
        ({}, 16, 2.0, "--threads 2"),
        ({"threads": 2}, 16, 2.0, ""),
        ({"workers": 3}, 16, 2.5, "--workers 2"),
    ],
)
def test_workers_and_threads_beyond_the_cores_are_advised_against(
    settings: dict[str, Any], cores: int, quota: float | None, advice: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("penstock.machine.cores.usable_cores", lambda: cores)
    monkeypatch.setattr("penstock.machine.cores.cgroup_cores", lambda: quota)
    (found,) = checks._processor(Settings(**settings), {})
    assert advice in found.advice
    assert (found.state == "ok") == (not advice)


class TestPing:
    def test_ping_finds_a_server_that_answers(
        self,
        launch: Launch,  # noqa: F811
        identity_onnx_package: Path,
        tmp_path: Path,
    ) -> None:
        port = launch(identity_onnx_package).wait_ready().address[1]
        done = run(tmp_path, "ping", "--ready", PENSTOCK_PORT=str(port), PENSTOCK_HOST="0.0.0.0")
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["ready"] is True
        assert run(tmp_path, "ping", "--port", port).returncode == 0

    @pytest.mark.parametrize("said", ["variable", "flag"])
    def test_ping_asks_a_hub_for_its_health(self, monkeypatch: pytest.MonkeyPatch, said: str) -> None:
        asked: list[str] = []

        class Hub(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                asked.append(self.path)
                self.send_response(200)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"OK")

            def log_message(self, *_: object) -> None: ...

        with HTTPServer(("127.0.0.1", 0), Hub) as server:
            port = str(server.server_port)
            monkeypatch.setenv("PENSTOCK_HUB_HOST", "0.0.0.0")
            # What Kubernetes makes of a Service named penstock-hub is no port.
            monkeypatch.setenv("PENSTOCK_HUB_PORT", port if said == "variable" else "tcp://10.0.0.1:5000")
            answering = threading.Thread(target=server.handle_request)
            answering.start()
            result = CliRunner().invoke(ping, ["--hub", *([] if said == "variable" else ["--port", port])])
            answering.join(10)
        assert (result.exit_code, result.output, asked) == (0, "OK\n", ["/health"])

    def test_ping_fails_where_nobody_answers(self, tmp_path: Path) -> None:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            done = run(tmp_path, "ping", "--port", taken.getsockname()[1])
        assert done.returncode == 1
        assert "does not answer" in done.stderr
