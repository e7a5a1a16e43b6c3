"""Saves the packages of the contract suite with MLflow's own API. Run by the MLflow environment's Python:

PYTHONPATH=tests .venv-mlflow/bin/python -m contract.make_packages [NAME…]
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import warnings
from pathlib import Path

from contract import packages_onnx, packages_pyfunc, packages_sklearn, packages_types
from contract.saving import PACKAGES

MODULES = (packages_types, packages_pyfunc, packages_sklearn, packages_onnx)


def main(names: list[str]) -> None:
    warnings.simplefilter("ignore")
    makers = {name: maker for module in MODULES for name, maker in module.PACKAGES.items()}
    if not names:
        shutil.rmtree(PACKAGES, ignore_errors=True)
    before = Path.cwd()
    with tempfile.TemporaryDirectory() as place:
        os.chdir(place)  # whatever MLflow might leave in its working directory goes with it
        try:
            for name in names or makers:
                makers[name](name)
        finally:
            os.chdir(before)
    size = sum(p.stat().st_size for p in PACKAGES.rglob("*") if p.is_file())
    print(f"{len(list(PACKAGES.iterdir()))} packages, {size / 1e6:.2f} MB")


if __name__ == "__main__":
    main(sys.argv[1:])
