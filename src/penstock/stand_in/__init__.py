"""A stand-in for `import mlflow` where MLflow is not installed, so that training programs run as they are.

It offers the fluent client, the client object, and packaging by Penstock, under the names that MLflow has for them. An
installed MLflow always wins. There are three ways to it:

    python -m penstock.stand_in train.py                             # a program as it is
    export PYTHONPATH="$PYTHONPATH:$(python -m penstock.stand_in)"   # all programs started from here
    tracking.as_mlflow()                                             # in a program, before `import mlflow`

A directory of PYTHONPATH comes before what is installed, whatever its place there. So what lies in `path/` looks for an
MLflow behind it first, and gives way.
"""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

from penstock.stand_in.finder import StandInFinder

# What PYTHONPATH gets.
DIRECTORY = Path(__file__).parent / "path"


def as_mlflow() -> ModuleType:
    """From now on `import mlflow` finds MLflow where it is installed, else the stand-in; which it then returns."""
    if "mlflow" not in sys.modules and not any(isinstance(finder, StandInFinder) for finder in sys.meta_path):
        found = find_spec("mlflow")
        if found is None or found.origin is None:  # a mere directory of that name is none
            sys.meta_path.insert(0, StandInFinder())
    return import_module("mlflow")
