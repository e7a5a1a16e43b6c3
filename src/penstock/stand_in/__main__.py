"""`python -m penstock.stand_in` says which directory PYTHONPATH needs; with a program it runs that so."""

import os
import sys

from penstock.stand_in import DIRECTORY

_USAGE = """Usage: python -m penstock.stand_in [PROGRAM [ARGUMENTS]...]

  Runs a program that imports mlflow where MLflow is not installed: Penstock's client stands in for it. An installed
  MLflow always wins. Before PROGRAM, Python's own options may stand, and -m or -c in its place. Without PROGRAM, the
  directory is printed that PYTHONPATH needs for it.

  Examples:
    python -m penstock.stand_in train.py --depth 8
    python -m penstock.stand_in -m churn.train
    export PYTHONPATH="$PYTHONPATH:$(python -m penstock.stand_in)"   # for all programs that are started from here
"""


def main() -> None:
    if sys.argv[1:2] in (["-h"], ["--help"]):
        sys.stdout.write(_USAGE)
        return
    if len(sys.argv) < 2:
        sys.stdout.write(f"{DIRECTORY}\n")
        return
    before = os.environ.get("PYTHONPATH")
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [before, str(DIRECTORY)]))}
    os.execve(sys.executable, [sys.executable, *sys.argv[1:]], environ)


if __name__ == "__main__":
    main()
