"""What a python_function package is refused for without trust."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from penstock.errors import CodeNotTrusted
from penstock.flavors.interface import LoadContext
from penstock.flavors.python.flavor import PyfuncFlavor
from penstock.manifest import Manifest


def test_no_code_runs_without_trust(tmp_path: Path) -> None:
    (tmp_path / "model.py").write_text("raise SystemExit\n")
    settings = {"loader_module": "penstock_loader", "source": "model.py"}
    manifest = Manifest({"flavors": {"python_function": settings}})
    with pytest.raises(CodeNotTrusted, match=r"model\.py is Python, which is run"):
        PyfuncFlavor().load(LoadContext(tmp_path, manifest))


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"loader_module": "penstock_loader", "source": "model.py"}, "model.py is Python, which is run"),
        ({"loader_module": "mlflow.pyfunc.model", "python_model": "python_model.pkl"}, "python_model.pkl is a pickle"),
        ({"loader_module": "mlflow.pyfunc.loaders.chat_model", "python_model": "p.pkl.gz"}, "p.pkl.gz is a pickle"),
        (
            {"loader_module": "mlflow.pyfunc.loaders.code_model", "model_code_path": "/home/x/agent.py"},
            "agent.py is Python, which is run",
        ),
        (
            {"loader_module": "my_loader", "data": "data/table.json"},
            "MLmodel names the loader module 'my_loader', which is run",
        ),
        (
            {"loader_module": "mlflow.lightgbm", "data": "model.lgb"},
            "MLmodel names the loader module 'mlflow.lightgbm', which is run",
        ),
    ],
)
def test_the_reason_names_what_is_run(tmp_path: Path, settings: dict[str, Any], reason: str) -> None:
    manifest = Manifest({"flavors": {"python_function": settings}})
    assert [str(r) for r in PyfuncFlavor().code_reasons(tmp_path, manifest)] == [reason]


def test_reasons_name_the_modules_in_code(tmp_path: Path) -> None:
    (tmp_path / "code").mkdir()
    for name in ("penstock_loader.py", "zeta.py", "alpha.py"):
        (tmp_path / "code" / name).write_text("")
    manifest = Manifest({"flavors": {"python_function": {"loader_module": "x", "code": "code"}}})
    assert [str(r) for r in PyfuncFlavor().code_reasons(tmp_path, manifest)][1:] == [
        "code/ holds modules: alpha.py, zeta.py"
    ]
