"""How a process ended, in words."""

from __future__ import annotations

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
