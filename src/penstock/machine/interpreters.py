"""Pythons on this machine: the one that runs this program, and others by their path."""

from __future__ import annotations

import platform
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Interpreter:
    """A Python: `version` is all of it, 3.11.7, or empty where it does not matter; `variables` are what the environment
    of its processes has beside this one's."""

    path: Path
    version: str = ""
    variables: Mapping[str, str] = field(default_factory=dict)

    @property
    def minor(self) -> tuple[int, ...]:
        return minor_of(self.version)

    @property
    def is_own(self) -> bool:
        """Whether it is the one that runs this program, with the same libraries."""
        return self.path == Path(sys.executable)


def own_interpreter() -> Interpreter:
    """The Python that runs this program, in the environment around it."""
    return Interpreter(Path(sys.executable), platform.python_version())


def base_interpreter() -> Interpreter:
    """The same without the environment around it."""
    base = getattr(sys, "_base_executable", None) or sys.executable
    return Interpreter(Path(base), platform.python_version())


def minor_of(version: str) -> tuple[int, ...]:
    """3.11.7 -> (3, 11). Empty where that is no version."""
    parts = version.split(".")[:2]
    return tuple(map(int, parts)) if len(parts) == 2 and all(p.isdecimal() and len(p) < 4 for p in parts) else ()
