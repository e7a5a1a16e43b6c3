"""How a process ended, in words."""

from __future__ import annotations

import subprocess
import sys

import pytest

from penstock.machine.exit_status import how_it_ended


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (0, "ended with code 0"),
        (3, "ended with code 3"),
        (-9, "was killed by signal 9 (SIGKILL)"),
        (-200, "was killed by signal 200"),
    ],
)
def test_an_exit_status_is_said_as_code_or_signal(code: int, words: str) -> None:
    assert how_it_ended(code) == words


def test_children_that_have_ended_are_told_once_with_their_codes() -> None:
    """In a process of its own: it waits for whatever child there is."""
    program = """
import os, signal
from penstock.machine.exit_status import ended_children
assert list(ended_children()) == []
children = {}
for code in (0, 3):
    if not (pid := os.fork()):
        os._exit(code)
    children[pid] = code
held = os.fork()
if not held:
    signal.pause()
found = {}
while len(found) < 2:
    found |= dict(ended_children())
assert found == children
assert list(ended_children()) == []
os.kill(held, signal.SIGKILL)
while not (last := list(ended_children())):
    pass
assert last == [(held, -9)]
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
