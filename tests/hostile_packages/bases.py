"""Good packages that hostile ones are made of, and the changes that are made to them."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import skops.io
import yaml

COLUMNS = ("sepal_length", "sepal_width", "petal_length", "petal_width")
ROW = json.dumps({"dataframe_split": {"columns": COLUMNS, "data": [[5.1, 3.5, 1.4, 0.2]]}}).encode()

Edit = Callable[[str, bytes], bytes | None]


@cache
def iris() -> tuple[Any, Any]:
    from sklearn.datasets import load_iris

    rows, target = load_iris(return_X_y=True)
    return rows, target


@cache
def iris_skops() -> bytes:
    from sklearn.linear_model import LogisticRegression

    return bytes(skops.io.dumps(LogisticRegression(max_iter=500).fit(*iris())))


def manifest(**more: Any) -> dict[str, Any]:
    """Of a scikit-learn package that takes four columns of doubles."""
    inputs = [{"type": "double", "name": name, "required": True} for name in COLUMNS]
    return {
        "flavors": {
            "sklearn": {"pickled_model": "model.skops", "serialization_format": "skops", "code": None},
            "python_function": {
                "loader_module": "mlflow.sklearn",
                "model_path": "model.skops",
                "predict_fn": "predict",
            },
        },
        "signature": {"inputs": json.dumps(inputs), "outputs": None, "params": None},
        **more,
    }


def write(place: Path, files: Mapping[str, bytes | str]) -> None:
    place.mkdir(parents=True)
    for name, content in files.items():
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_bytes(content if isinstance(content, bytes) else content.encode())


def iris_package(
    place: Path, *, mlmodel: bytes | str | None = None, skops_file: bytes | None = None, **files: Any
) -> None:
    """The good package with another manifest, another model or more files; in their names `__` is a dot."""
    more = {name.replace("__", "."): content for name, content in files.items()}
    text = yaml.safe_dump(manifest()) if mlmodel is None else mlmodel
    write(place, {"MLmodel": text, "model.skops": skops_file or iris_skops(), **more})


def tensor_package(
    place: Path, estimator: Any, edit: Edit | None = None, *, dtype: str = "float64", width: int = 4
) -> None:
    """An estimator that takes a tensor; `edit` changes members of its skops file."""
    shape = [-1] if dtype == "str" else [-1, width]
    inputs = [{"type": "tensor", "tensor-spec": {"dtype": dtype, "shape": shape}}]
    raw = bytes(skops.io.dumps(estimator))
    content = manifest(signature={"inputs": json.dumps(inputs), "outputs": None, "params": None})
    write(place, {"MLmodel": yaml.safe_dump(content), "model.skops": repacked(raw, edit) if edit else raw})


def repacked(raw: bytes, edit: Edit, how: int = zipfile.ZIP_DEFLATED) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(raw)) as old, zipfile.ZipFile(made, "w", how) as new:
        for name in old.namelist():
            content = old.read(name)
            changed = edit(name, content)
            new.writestr(name, content if changed is None else changed)
    return made.getvalue()


def arrays(choose: Callable[[Any], Any]) -> Edit:
    """Changes arrays: `choose` gives another one or None."""

    def edit(name: str, content: bytes) -> bytes | None:
        if not name.endswith(".npy"):
            return None
        changed = choose(np.load(io.BytesIO(content), allow_pickle=False))
        if changed is None:
            return None
        made = io.BytesIO()
        np.save(made, changed)
        return made.getvalue()

    return edit


def schema(change: Callable[[str], str]) -> Edit:
    """Changes the description as text."""
    return lambda name, content: change(content.decode()).encode() if name == "schema.json" else None
