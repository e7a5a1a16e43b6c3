"""Packages of MLflow's own Python models, loaded without MLflow: pickled PythonModels and functions, models from code.

What their `mlflow` imports find meanwhile is in `standins`.
"""

from __future__ import annotations

import bz2
import gzip
import inspect
import json
import lzma
import pickle
import platform
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO, cast, get_args, get_origin

from penstock.error_text import text_of
from penstock.errors import ArtifactInvalid, DependencyMissing, PackageInvalid
from penstock.flavors.code_path import add_code_directory
from penstock.flavors.interface import LoadContext, inside, need
from penstock.flavors.python import source_file
from penstock.flavors.python.chat import ChatShaped, chat_shaped
from penstock.flavors.python.mlflow_stubs import (
    PythonModelContext,
    StandinLacks,
    _FunctionPythonModel,
    code_run,
    standins,
)
from penstock.flavors.python.mlflow_stubs.imports import CodeLoader, make_function
from penstock.flavors.python.type_hints import frame_for_example, takes_context
from penstock.manifest import Manifest
from penstock.package_file import EXAMPLE_LIMIT, read_package_file
from penstock.payload import clipped
from penstock.signature import Field

LOADERS = (
    "mlflow.pyfunc.model",
    *(f"mlflow.pyfunc.loaders.{kind}" for kind in ("code_model", "chat_model", "chat_agent", "responses_agent")),
)

_OPENERS: Mapping[str, Callable[..., Any]] = {"gzip": gzip.open, "bzip2": bz2.open, "lzma": lzma.open}

_EXAMPLE = "input_example.json"


def load_python_model(
    context: LoadContext, settings: Mapping[str, Any], config: Mapping[str, Any]
) -> PythonModel | ChatShaped:
    """The model of a package whose loader module is one of LOADERS. The caller has checked that its code is trusted.

    Raises ArtifactInvalid, CodeConflict, DependencyMissing, PackageInvalid, and whatever the model's own code raises.
    """
    directory = context.directory
    if code := settings.get("code"):
        add_code_directory(inside(directory, code, "code directory"), context.digest)
    given = dict(config) or None
    model_context = PythonModelContext(_artifacts(directory, settings), given)
    with standins():
        try:
            model = (
                _run_file(context, settings, given)
                if settings.get("model_code_path")
                else _unpickle(directory, settings)
            )
            if not callable(getattr(model, "predict", None)):
                raise ArtifactInvalid(f"The package holds a {type(model).__name__}, which has no predict().")
            if callable(load := getattr(model, "load_context", None)):
                load(model_context)
        except (StandinLacks, ImportError) as error:
            if missing := _lacking(error):
                raise DependencyMissing(
                    f"The package's model uses {missing}, which needs MLflow, and MLflow is not installed.",
                    hint="Install it with: pip install mlflow (and what the model needs)",
                ) from error
            raise
    return chat_shaped(model, model_context) or PythonModel(model, model_context, context)


def _artifacts(directory: Path, settings: Mapping[str, Any]) -> dict[str, str]:
    """Absolute paths by name."""
    artifacts = settings.get("artifacts") or {}
    if not isinstance(artifacts, Mapping) or not all(isinstance(info, Mapping) for info in artifacts.values()):
        raise PackageInvalid("The python_function flavor's artifacts are not a mapping of names to paths.")
    return {
        str(name): str(inside(directory, info.get("path"), f"artifact {name!r}").absolute())
        for name, info in artifacts.items()
    }


def _lacking(error: StandinLacks | ImportError) -> str:
    """Which name of MLflow's an import or attribute wanted; nothing where it was about something else."""
    if isinstance(error, StandinLacks):
        return str(error).split(" ", 1)[0]
    if (error.name or "").split(".")[0] != "mlflow":
        return ""
    found = re.search(r"cannot import name '(\w+)'", str(error))
    return f"{error.name}.{found[1]}" if found else str(error.name)


def code_file(settings: Mapping[str, Any]) -> str:
    """The file of a model from code. MLflow writes the path that it had where it was saved, maybe on Windows."""
    return re.split(r"[/\\]", str(settings["model_code_path"]))[-1]


def _run_file(context: LoadContext, settings: Mapping[str, Any], config: Mapping[str, Any] | None) -> Any:
    """Runs a model from code, under a module name of its own, and takes what it gave to set_model()."""
    name = code_file(settings)
    path = inside(context.directory, name, "model code")
    with code_run(config) as run:
        module = f"penstock_model_{context.digest[:16] or 'local'}"
        source_file.import_file(str(path), module, CodeLoader(module, str(path)))
    if run.model is None:
        raise ArtifactInvalid(f"{name} does not call mlflow.models.set_model().")
    return _FunctionPythonModel(run.model) if callable(run.model) else run.model


def _unpickle(directory: Path, settings: Mapping[str, Any]) -> Any:
    path = inside(directory, settings.get("python_model"), "pickled Python model")
    need("cloudpickle", "python", purpose="A pickled Python model")
    compression = settings.get("python_model_compression")
    if compression and compression not in _OPENERS:
        raise PackageInvalid(f"{path.name} is compressed as {compression!r}; known are {', '.join(_OPENERS)}.")
    with _OPENERS.get(str(compression), open)(path, "rb") as file:
        try:
            return _Unpickler(cast(BinaryIO, file), path.name, str(settings.get("python_version") or "")).load()
        except (pickle.UnpicklingError, EOFError, OSError, lzma.LZMAError) as error:
            raise ArtifactInvalid(f"{path.name} is damaged or not a pickle: {clipped(text_of(error), 200)}.") from error


class _Unpickler(pickle.Unpickler):
    """Refuses code that another Python compiled, which could end the process; tells which names of MLflow lack."""

    def __init__(self, file: BinaryIO, name: str, python_version: str) -> None:
        super().__init__(file)
        self._name = name
        self._python = python_version
        self._foreign = bool(python_version) and _minor(python_version) != _minor(platform.python_version())

    def find_class(self, module: str, name: str) -> Any:
        try:
            found = super().find_class(module, name)
        except (AttributeError, ImportError) as error:
            if module.split(".")[0] != "mlflow":
                raise
            raise StandinLacks(f"{module}.{name} needs MLflow, which is not installed") from error
        if self._foreign and module.startswith("cloudpickle") and name in ("_make_function", "_builtin_type"):
            raise ArtifactInvalid(
                f"{self._name} holds code that Python {self._python} compiled, which Python "
                f"{platform.python_version()} cannot run.",
                hint=f"Serve it with Python {_minor(self._python)}, or save the model again as a model from code.",
            )
        return make_function if module.startswith("cloudpickle") and name == "_make_function" else found


def _minor(version: str) -> str:
    return ".".join(version.split(".")[:2])


class PythonModel:
    """Calls a PythonModel as MLflow does: with the context and the params where its predict wants them."""

    def __init__(self, model: Any, model_context: PythonModelContext, context: LoadContext) -> None:
        parameters = inspect.signature(model.predict).parameters
        self.model = model
        self._context = model_context
        self._takes_context = takes_context(parameters)
        self._takes_params = "params" in parameters
        self._converter = _converter(model, context)

    def predict(self, model_input: Any, params: dict[str, Any] | None = None) -> Any:
        given = self._converter(model_input) if _is_frame(model_input) else model_input
        arguments = (self._context, given) if self._takes_context else (given,)
        return self.model.predict(*arguments, **({"params": params} if self._takes_params else {}))


def _is_frame(value: Any) -> bool:
    pandas = sys.modules.get("pandas")
    return pandas is not None and isinstance(value, pandas.DataFrame)


def _converter(model: Any, context: LoadContext) -> Callable[[Any], Any]:
    """What turns a frame into what the model takes: its example's kind, or lists for models hinted before 2.20."""
    manifest = context.manifest
    if manifest.content.get("type_hint_from_example") is True:
        example = _example(context.directory, manifest)
        return lambda frame: frame if example is None else frame_for_example(frame, example)
    hint = getattr(getattr(model, "predict_type_hints", None), "input", None)
    item = get_args(hint)[0] if get_origin(hint) is list and get_args(hint) else None  # list[…] or typing.List[…]
    if item is str:
        return _first_texts
    if get_origin(item) is dict and get_args(item) == (str, str):
        inputs = manifest.signature.inputs if manifest.signature else None
        unnamed = inputs is not None and len(inputs) == 1 and isinstance(inputs[0], Field) and inputs[0].name is None
        return lambda frame: _as_records(frame, unnamed)
    return lambda frame: frame


def _first_text_column(frame: Any) -> Any:
    """The name of the first column with text, by its first row."""
    return next((name for name, value in frame.iloc[0].items() if isinstance(value, str)), None)


def _first_texts(frame: Any) -> Any:
    name = _first_text_column(frame)
    if name is None:
        raise ValueError("the model takes text, but the input has no column of it")
    return frame[name].tolist()


def _as_records(frame: Any, unnamed: bool) -> Any:
    if unnamed and (name := _first_text_column(frame)):
        return frame[[name]].to_dict(orient="records")
    if unnamed and len(frame.columns) == 1:
        return frame.iloc[:, 0].tolist()
    return frame.to_dict(orient="records")


def _example(directory: Path, manifest: Manifest) -> Any:
    """The package's example as plain values; None where it is a frame or there is none."""
    info = manifest.content.get("saved_input_example_info")
    if not isinstance(info, Mapping) or info.get("type") != "json_object" or not (directory / _EXAMPLE).is_file():
        return None
    try:
        value = json.loads(read_package_file(directory / _EXAMPLE, EXAMPLE_LIMIT))
    except (ValueError, RecursionError) as error:
        raise PackageInvalid(f"The model's types come from {_EXAMPLE}, which is not JSON: {error}.") from None
    return value.get("inputs") if info.get("params") and isinstance(value, dict) else value
