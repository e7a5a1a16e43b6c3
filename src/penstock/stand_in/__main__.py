"""`python -m penstock.stand_in` says which directory PYTHONPATH needs; with a program it runs that so."""

import os
import sys

from penstock.stand_in import DIRECTORY


def main() -> None:
    if len(sys.argv) < 2:
        sys.stdout.write(f"{DIRECTORY}\n")
        return
    before = os.environ.get("PYTHONPATH")
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [before, str(DIRECTORY)]))}
    os.execve(sys.executable, [sys.executable, *sys.argv[1:]], environ)


if __name__ == "__main__":
    main()
