"""What is said where a tool that pip alone does not bring is missing."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NoReturn

import pytest


def missing(what: str, remedy: str) -> NoReturn:
    """Skips on a laptop, where it is seen in the summary; fails in CI."""
    stop = pytest.fail if os.environ.get("CI") else pytest.skip
    stop(f"{what} is missing: {remedy}")


def require(path: Path, what: str, remedy: str) -> Path:
    """The path, if it is there."""
    if not path.exists():
        missing(what, remedy)
    return path
