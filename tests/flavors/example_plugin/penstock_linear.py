"""Linear models for Penstock: a weight for each column, kept as JSON."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from penstock.errors import ArtifactInvalid, PackagingFailed, PredictError
from penstock.flavors import CodeReason, Flavor, FlavorOptions, LoadContext, Predictor, Written, inside
from penstock.manifest import PYTHON_FUNCTION, Manifest
from penstock.payload import Params, Payload, Table, Tensors

FILE = "linear.json"
LINKS: dict[str, Callable[[Any], Any]] = {"identity": lambda x: x, "logistic": lambda x: 1 / (1 + np.exp(-x))}


@dataclass(frozen=True)
class LinearModel:
    """What users of this library have in their hands."""

    columns: tuple[str, ...]
    weights: tuple[float, ...]
    intercept: float = 0.0
    link: str = "identity"

    def predict(self, rows: Any) -> Any:
        """`rows` is an array (rows, columns), or a frame."""
        rows = rows[list(self.columns)] if hasattr(rows, "columns") else rows
        sums = np.asarray(rows, dtype=float) @ np.array(self.weights) + self.intercept
        link = LINKS[self.link]
        return link(sums)


@dataclass(frozen=True, slots=True)
class LinearOptions(FlavorOptions):
    """`link` turns the sum into the answer: "identity", "logistic", or empty for the model's own."""

    link: str = ""


class LinearFlavor(Flavor):
    interface = 1
    name = "linear"
    loader_modules = frozenset({"penstock_linear", "mlflow.linear"})
    options_type = LinearOptions
    distributions = ("penstock-linear",)

    def artifact(self, manifest: Manifest) -> str:
        return str((manifest.flavors.get(self.name) or manifest.python_function or {}).get("data") or FILE)

    def code_reasons(self, directory: Path, manifest: Manifest) -> list[CodeReason]:
        return []  # JSON is read and checked, never run

    def load(self, context: LoadContext) -> Predictor:
        file = self.artifact(context.manifest)
        return LinearPredictor(read_model(inside(context.directory, file, "linear model")))

    def accepts(self, model: Any) -> bool:
        return isinstance(model, LinearModel)

    def read(self, path: Path) -> Any:
        if not path.is_file():
            raise PackagingFailed(f"There is no file {path}.")
        return read_model(path)

    def write(
        self, model: LinearModel, directory: Path, options: LinearOptions, example: Payload | None = None
    ) -> Written:
        link = options.link or model.link
        if link not in LINKS:
            raise PackagingFailed(f"The link must be one of {', '.join(LINKS)}, not {link!r}.")
        (directory / FILE).write_text(json.dumps(asdict(replace(model, link=link))), encoding="utf-8")
        return Written(
            flavors={
                self.name: {"data": FILE},
                PYTHON_FUNCTION: {"loader_module": __name__, "data": FILE},
            },
            requirements=("penstock-linear==1.0",),
            batchable=True,  # a row's answer depends on that row alone
        )


class LinearPredictor(Predictor):
    quick = True  # arithmetic, and no waiting
    takes_frames = False
    cyclic = False

    def __init__(self, model: LinearModel) -> None:
        self._model = model

    def _predict(self, payload: Payload, params: Params) -> Payload:
        if isinstance(payload, Table):
            rows = self._in_order(payload)
        elif isinstance(payload, Tensors) and payload.names is None:
            rows = payload.arrays[0]
        else:
            raise PredictError("A linear model takes columns or one array.")
        return Tensors.single(self._model.predict(rows))

    def _in_order(self, table: Table) -> Any:
        names = [str(name) for name in table.names or self._model.columns]
        if missing := [name for name in self._model.columns if name not in names]:
            raise PredictError(f"The rows lack columns: {', '.join(missing)}.")
        return np.stack([table.column(names.index(name)) for name in self._model.columns], axis=1)

    def example_form(self, payload: Payload) -> Payload:
        """Whole numbers as floats: a signature of longs would refuse a caller's 0.5."""
        if isinstance(payload, Table) and payload.block is not None and payload.block.dtype.kind in "iu":
            return Table(payload.names, block=payload.block.astype(float), index=payload.index)
        return payload


def read_model(path: Path) -> LinearModel:
    """Checks all that is in the file, since it may come from anybody. Raises ArtifactInvalid."""
    try:
        found = json.loads(path.read_bytes())
        columns = tuple(str(column) for column in found["columns"])
        weights = tuple(float(weight) for weight in found["weights"])
        intercept, link = float(found.get("intercept", 0.0)), str(found.get("link", "identity"))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, OverflowError) as error:
        raise ArtifactInvalid(f"{path.name} is damaged or no linear model: {type(error).__name__}.") from error
    if len(columns) != len(weights) or not columns:
        raise ArtifactInvalid(f"{path.name} has {len(columns)} columns and {len(weights)} weights.")
    if link not in LINKS:
        raise ArtifactInvalid(f"{path.name} names a link that this release does not know: {link[:40]!r}.")
    return LinearModel(columns, weights, intercept, link)


def _load_pyfunc(path: str) -> LinearModel:
    """What MLflow calls, where this distribution is installed beside it."""
    return read_model(Path(path))
