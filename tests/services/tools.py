"""Programs that pip does not bring: found, or installed where we may, or a skip that says so."""

from __future__ import annotations

import os
import shutil
import subprocess
from functools import cache
from typing import NoReturn

import pytest


def require_tool(name: str, *, debian: str) -> str:
    """The path of a program of a Debian package. Where it is missing, root installs it; else give_up."""
    path = shutil.which(name) or (shutil.which(name) if _install(debian) else None)
    if path is None:
        give_up(f"{name} is missing: apt-get install --no-install-recommends {debian}")
    return path


def give_up(why: str) -> NoReturn:
    """Something that a test needs is not there: a visible skip on a laptop, a failure in CI."""
    if os.environ.get("CI"):
        pytest.fail(why)
    pytest.skip(why)


@cache
def _install(package: str) -> bool:
    """Once for each package, whatever comes of it."""
    apt = shutil.which("apt-get")
    if apt is None or os.geteuid() != 0:
        return False
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in (["update", "-q"], ["install", "-q", "-y", "--no-install-recommends", package]):
        done = subprocess.run([apt, *command], env=environment, capture_output=True, text=True, timeout=600)
        if done.returncode:
            print(done.stdout, done.stderr)
    return done.returncode == 0
