from __future__ import annotations

import platform
import sys
from pathlib import Path

import pytest

from penstock.machine.interpreters import Interpreter, base_interpreter, minor_of, own_interpreter


@pytest.mark.parametrize(
    ("version", "minor"),
    [("3.11.7", (3, 11)), ("3.12", (3, 12)), ("", ()), ("3", ()), ("three.two", ()), ("3.1111", ())],
)
def test_the_minor_version_is_read_from_the_whole(version: str, minor: tuple[int, ...]) -> None:
    assert minor_of(version) == Interpreter(Path("python"), version).minor == minor


def test_only_the_interpreter_with_this_programs_libraries_is_its_own() -> None:
    assert own_interpreter().is_own
    assert not Interpreter(Path("/usr/bin/another")).is_own
    assert own_interpreter().version == base_interpreter().version == platform.python_version()
    assert base_interpreter().is_own is (base_interpreter().path == Path(sys.executable))
