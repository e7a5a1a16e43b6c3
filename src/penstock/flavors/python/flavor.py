"""Python functions: models from code, and MLflow's python_function packages with a loader module of their own.

Always code-carrying. Packages that Penstock wrote are loaded by the loader they carry (`source_file`), under a module
name made from the package's digest, so that two versions never share code. A loader module in `code/` is imported from
there. Loader modules of MLflow's own are left to MLflow, where it is installed; without it, those for Python models
have a twin here (`mlflow_models`).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from penstock.errors import (
    ArtifactInvalid,
    CodeNotTrusted,
    DependencyMissing,
    PackageInvalid,
    PenstockError,
)
from penstock.flavors.code_path import CODE, add_code_directory, own_modules
from penstock.flavors.interface import INTERFACE_VERSION, CodeReason, Flavor, LoadContext, Written, inside, posix
from penstock.flavors.missing_code import missing_code
from penstock.flavors.python import mlflow_models, source_file
from penstock.flavors.python.mlflow_stubs import mlflow_installed, standins
from penstock.flavors.python.predictor import PyfuncPredictor
from penstock.flavors.python.source_package import OWN_LOADER, PythonOptions, write_source
from penstock.manifest import FILE_NAME, PYTHON_FUNCTION, Manifest
from penstock.payload import Payload, kind_and_text, shortened


class PyfuncFlavor(Flavor):
    interface = INTERFACE_VERSION
    name = PYTHON_FUNCTION
    loader_modules = frozenset({OWN_LOADER, *mlflow_models.LOADERS})
    options_type = PythonOptions
    distributions = ("cloudpickle", "pandas")

    def artifact(self, manifest: Manifest) -> str:
        settings = manifest.python_function or {}
        if settings.get("model_code_path"):
            return mlflow_models.code_file(settings)
        for key in ("source", "python_model", "data", "model_path"):
            if settings.get(key):
                return posix(str(settings[key]))
        return posix(str(settings.get("code") or "."))

    def code_reasons(self, directory: Path, manifest: Manifest) -> list[CodeReason]:
        settings = manifest.python_function or {}
        loader = settings.get("loader_module")
        if settings.get("source") or settings.get("model_code_path"):
            reasons = [CodeReason(self.artifact(manifest), "is Python, which is run")]
        elif settings.get("python_model"):
            reasons = [CodeReason(self.artifact(manifest), "is a pickle")]
        else:
            reasons = [CodeReason(FILE_NAME, f"names the loader module {shortened(loader)}, which is run")]
        code = posix(str(settings.get("code") or CODE))
        there = (directory / code).exists()
        if extra := own_modules(inside(directory, code, "code directory")) if there else []:
            reasons.append(CodeReason(f"{code}/", f"holds modules: {', '.join(extra)}"))
        return reasons

    def load(self, context: LoadContext) -> PyfuncPredictor:
        if not context.trusted:
            reasons = self.code_reasons(context.directory, context.manifest)
            raise CodeNotTrusted(f"Loading would run code from the package: {'; '.join(map(str, reasons))}.")
        settings = context.manifest.python_function or {}
        given = settings.get("config") or {}
        if not isinstance(given, Mapping):
            raise PackageInvalid("The python_function flavor's config is not a mapping.")
        try:
            model = self._load(context, settings, {**given, **context.config})
            return PyfuncPredictor(_function(model, settings), joinable=context.manifest.batchable)
        except (PenstockError, KeyboardInterrupt):
            raise
        except BaseException as error:
            if (missing := missing_code(error, "The package's code")) is not None:
                raise missing from error
            raise ArtifactInvalid(
                f"The package's code ({self.artifact(context.manifest)}) failed while loading: {kind_and_text(error)}."
            ) from error

    def _load(self, context: LoadContext, settings: Mapping[str, Any], config: Mapping[str, Any]) -> Any:
        directory, loader = context.directory, settings.get("loader_module")
        if not isinstance(loader, str) or not loader:
            raise PackageInvalid("The python_function flavor names no loader_module.")
        if loader == OWN_LOADER:
            add_code_directory(directory / CODE, context.digest)
            module_name = f"penstock_model_{context.digest[:16] or 'local'}"
            return source_file.load_source(
                str(directory), _own_settings(directory, settings), dict(config), module_name
            )
        if loader in mlflow_models.LOADERS and not mlflow_installed():
            return mlflow_models.load_python_model(context, settings, config)
        if code := settings.get("code"):
            add_code_directory(inside(directory, code, "code directory"), context.digest)
        if loader.split(".")[0] == "mlflow":
            return _load_with_mlflow(directory, loader, config)
        data = settings.get("data")
        path = inside(directory, data, "python function's data") if data else directory
        with standins():  # a user's loader may name MLflow's exception or base class
            module = import_module(loader)
            return module._load_pyfunc(str(path), dict(config)) if config else module._load_pyfunc(str(path))

    def accepts(self, model: Any) -> bool:
        return isinstance(model, Path) and model.suffix == ".py" and model.is_file()

    def write(self, model: Path, directory: Path, options: PythonOptions, example: Payload | None = None) -> Written:
        return write_source(model, directory, options)


def _own_settings(directory: Path, settings: Mapping[str, Any]) -> dict[str, Any]:
    """The flavor's section with the paths of files that are in the package. Raises PackageInvalid."""
    artifacts = settings.get("artifacts") or {}
    if not isinstance(artifacts, Mapping) or not all(isinstance(info, Mapping) for info in artifacts.values()):
        raise PackageInvalid("The python_function flavor's artifacts are not a mapping of names to paths.")
    found = {name: inside(directory, info.get("path"), f"artifact {name!r}") for name, info in artifacts.items()}
    return {
        **settings,
        "source": str(inside(directory, settings.get("source"), "Python source").relative_to(directory)),
        "artifacts": {name: {"path": str(path.relative_to(directory))} for name, path in found.items()},
    }


def _load_with_mlflow(directory: Path, loader: str, config: Mapping[str, Any]) -> Any:
    """What MLflow gives; its `predict` calls the model's, whatever that one is called."""
    if not mlflow_installed():
        raise DependencyMissing(
            f"The package is loaded by {loader!r}, which needs MLflow, and MLflow is not installed.",
            hint="Install it with: pip install mlflow-skinny, and what the package's requirements.txt lists.",
        )
    import mlflow.pyfunc

    # As MLflow's own server has it: type-hinted models then read base64 and ISO 8601 text.
    os.environ.setdefault("_MLFLOW_IS_IN_SERVING_ENVIRONMENT", "true")
    sys.dont_write_bytecode = True
    # Releases before 2.8 know no model_config.
    return mlflow.pyfunc.load_model(str(directory), **({"model_config": dict(config)} if config else {}))


def _function(model: Any, settings: Mapping[str, Any]) -> Any:
    """The function that answers."""
    by_mlflow = f"{type(model).__module__}.{type(model).__name__}" == "mlflow.pyfunc.PyFuncModel"
    return getattr(model, "predict" if by_mlflow else str(settings.get("predict_fn") or "predict"))
