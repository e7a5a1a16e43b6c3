"""Runs programs one after the other, as a person would, in the process that is there; for both clients."""

from __future__ import annotations

import runpy
import sys
import warnings
from pathlib import Path

PROGRAMS = sorted(Path(__file__).with_name("programs").glob("*.py"))


def run_program(program: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        runpy.run_path(str(program), run_name="__main__")


if __name__ == "__main__":
    for each in PROGRAMS:
        run_program(each)
        sys.stdout.write(f"{each.stem}\n")
