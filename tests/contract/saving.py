"""How the packages are saved: with MLflow's own API, then made the same on every run."""

from __future__ import annotations

import shutil
import tempfile
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, Schema, TensorSpec

PACKAGES = Path(__file__).resolve().parent / "packages"
MODELS = Path(__file__).resolve().parent / "models"

# The environment files name versions of everything; a package needs none of them to be served.
REQUIREMENTS = ["mlflow"]

Saver = Callable[..., Any]


def columns(*fields: Any) -> Schema:
    """A schema of columns: (type, name) or (type, name, required); a ColSpec stands for itself."""
    return Schema([f if isinstance(f, ColSpec) else _column(*f) for f in fields])


def _column(type_: Any, name: Any = None, required: bool = True) -> ColSpec:
    return ColSpec(type=type_, name=name, required=required)


def tensors(*fields: tuple[Any, tuple[int, ...]] | tuple[Any, tuple[int, ...], str]) -> Schema:
    """A schema of tensors: (dtype, shape) or (dtype, shape, name)."""
    return Schema([TensorSpec(*f) for f in fields])


def signed(inputs: Schema | None, outputs: Schema | None = None, params: Any = None) -> ModelSignature:
    return ModelSignature(inputs=inputs, outputs=outputs, params=params)


def save(name: str, saver: Saver, /, **arguments: Any) -> None:
    """Saves one package under packages/, in place of what is there."""
    target = PACKAGES / name
    shutil.rmtree(target, ignore_errors=True)
    with tempfile.TemporaryDirectory() as place:
        saver(path=f"{place}/{name}", **{"pip_requirements": REQUIREMENTS, **arguments})
        shutil.copytree(f"{place}/{name}", target, ignore=shutil.ignore_patterns("__pycache__"))
    _settle(target, name)


def save_loader(name: str, source: str, **arguments: Any) -> None:
    """Saves a package whose model is a loader module of its own, named after the package."""
    from mlflow.pyfunc import save_model

    with tempfile.TemporaryDirectory() as place:
        module = f"contract_{name}"
        code = Path(place) / f"{module}.py"
        shutil.copyfile(MODELS / source, code)
        save(name, save_model, loader_module=module, code_paths=[str(code)], **arguments)


def _settle(package: Path, name: str) -> None:
    """Takes the time, the identity and the places of this machine out of the manifest."""
    path = package / "MLmodel"
    manifest = yaml.safe_load(path.read_text(encoding="utf-8"))
    manifest["model_uuid"] = uuid.uuid5(uuid.NAMESPACE_URL, name).hex
    manifest["utc_time_created"] = "2026-01-01 00:00:00.000000"
    function = manifest["flavors"]["python_function"]
    if "model_code_path" in function:
        function["model_code_path"] = f"/home/somebody/models/{Path(function['model_code_path']).name}"
    for artifact in (function.get("artifacts") or {}).values():
        artifact["uri"] = f"/home/somebody/{Path(artifact['path']).name}"
    path.write_text(yaml.safe_dump(manifest, sort_keys=True, allow_unicode=True), encoding="utf-8")
