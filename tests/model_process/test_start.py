"""Interpreters that are not what they should be: what stands at the other end is not trusted from its first word."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from penstock.errors import ModelProcessLost
from penstock.machine.interpreters import Interpreter
from penstock.model_process.client.start import ModelProcessHandle, start
from penstock.model_process.protocol.startup import StartModel


def interpreter(place: Path, program: str) -> Interpreter:
    """One that runs this program whatever it is given; `control` is the number of its end of the socket."""
    script = place / "python"
    script.write_text(f"#!{sys.executable}\nimport os, sys, time\ncontrol = int(sys.argv[2])\n{program}\n")
    script.chmod(0o755)
    return Interpreter(script)


@pytest.mark.parametrize(
    ("program", "words"),
    [
        ("os.write(control, b'HTTP/1.1 400 Bad Request' * 9); time.sleep(3600)", "sent an invalid message"),
        ("os.write(control, b'PNSK' + bytes([99]) * 99); time.sleep(3600)", "sent an invalid message"),
        ("os.close(control); time.sleep(3600)", "stopped sending messages while it loaded"),
        (
            "sys.exit('Model processes need Python 3.11')",
            "while it loaded .*; last output: Model processes need Python 3.11",
        ),
        ("time.sleep(3600)", "did not load the package in time"),
    ],
    ids=["http", "another version", "closed", "too old", "silent"],
)
def test_a_program_that_is_no_model_process_is_lost_with_its_reason(
    tmp_path: Path, program: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[ModelProcessHandle] = []
    timeout = 0.5 if "in time" in words else 60.0
    monkeypatch.setattr("penstock.model_process.client.start.END_SECONDS", 0.5)
    with pytest.raises(ModelProcessLost, match=words):
        start(StartModel("nowhere"), interpreter(tmp_path, program), print, timeout=timeout, on_launched=seen.append)
    (process,) = seen
    process._process.kill()  # type: ignore[attr-defined]  # this one has no keeper that would end with its lifeline
    process.ended.result(timeout=30)


def test_an_absent_interpreter_is_lost_with_its_reason(tmp_path: Path) -> None:
    with pytest.raises(ModelProcessLost, match="nothing cannot be started: No such file"):
        start(StartModel("nowhere"), Interpreter(tmp_path / "nothing"), print)
