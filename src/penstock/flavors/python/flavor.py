"""Python functions: models from code, and MLflow's python_function packages with a loader module of their own.

Always code-carrying. Packages that Penstock wrote are loaded by the loader they carry (`python_loader`), under a module
name made from the package's digest, so that two versions never share code. A loader module in `code/` is imported from
there. Loader modules of MLflow's own are left to MLflow, where it is installed; without it, those for Python models
have a twin here (`mlflow_pyfunc`).
"""

from __future__ import annotations

import ast
import inspect
import os
import shutil
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
    PackagingFailed,
    PenstockError,
)
from penstock.flavors.code_path import add_code_directory
from penstock.flavors.frames import from_python, to_python
from penstock.flavors.interface import CodeReason, Flavor, LoadContext, Predictor, Written, inside
from penstock.flavors.python import mlflow_models as mlflow_pyfunc
from penstock.flavors.python import source_file as python_loader
from penstock.flavors.python.mlflow_stubs import mlflow_installed, standins
from penstock.manifest import FILE_NAME, PYTHON_FUNCTION, Manifest
from penstock.payload import Params, Payload, clipped, shortened

OWN_LOADER = "penstock_loader"
SOURCE = "model.py"


class PyfuncFlavor(Flavor):
    name = PYTHON_FUNCTION

    def artifact(self, manifest: Manifest) -> str:
        settings = manifest.python_function or {}
        if settings.get("model_code_path"):
            return mlflow_pyfunc.code_file(settings)
        for key in ("source", "python_model", "data", "model_path"):
            if settings.get(key):
                return str(settings[key])
        return str(settings.get("code") or ".")

    def code_reasons(self, directory: Path, manifest: Manifest) -> list[CodeReason]:
        settings = manifest.python_function or {}
        loader = settings.get("loader_module")
        if settings.get("source") or settings.get("model_code_path"):
            reasons = [CodeReason(self.artifact(manifest), "is Python, which is run")]
        elif settings.get("python_model"):
            reasons = [CodeReason(self.artifact(manifest), "is a pickle")]
        else:
            reasons = [CodeReason(FILE_NAME, f"names the loader module {shortened(loader)}, which is run")]
        code = str(settings.get("code") or "code")
        extra = _modules(directory / code) - {f"{OWN_LOADER}.py"}
        if extra:
            reasons.append(CodeReason(f"{code}/", f"holds modules: {', '.join(sorted(extra))}"))
        return reasons

    def load(self, context: LoadContext) -> PyfuncPredictor:
        if not context.trusted:
            reasons = self.code_reasons(context.directory, context.manifest)
            raise CodeNotTrusted(f"Loading would run code from the package: {'; '.join(map(str, reasons))}.")
        settings = context.manifest.python_function or {}
        given = settings.get("config") or {}
        if not isinstance(given, Mapping):
            raise PackageInvalid("The python_function flavor's config is no mapping.")
        try:
            model = self._load(context, settings, {**given, **context.config})
            return PyfuncPredictor(_function(model, settings), joinable=context.manifest.batchable)
        except (PenstockError, KeyboardInterrupt):
            raise
        except ModuleNotFoundError as error:
            raise DependencyMissing(
                f"The package's code needs the module {error.name!r}, which is not installed.",
                hint="Install what the package's requirements.txt lists in the environment that serves it.",
            ) from error
        except BaseException as error:
            raise ArtifactInvalid(
                f"The package's code failed while loading: {type(error).__name__}: {clipped(str(error), 300)}."
            ) from error

    def _load(self, context: LoadContext, settings: Mapping[str, Any], config: Mapping[str, Any]) -> Any:
        directory, loader = context.directory, settings.get("loader_module")
        if not isinstance(loader, str) or not loader:
            raise PackageInvalid("The python_function flavor names no loader_module.")
        if loader == OWN_LOADER:
            if _modules(directory / "code") - {f"{OWN_LOADER}.py"}:
                add_code_directory(directory / "code", context.digest, unused=OWN_LOADER)
            inside(directory, settings.get("source"), "Python source")
            for name, artifact in (settings.get("artifacts") or {}).items():
                inside(directory, artifact.get("path"), f"artifact {name!r}")
            module_name = f"penstock_model_{context.digest[:16] or 'local'}"
            return python_loader.load_source(str(directory), dict(settings), dict(config), module_name)
        if loader in mlflow_pyfunc.LOADERS and not mlflow_installed():
            return mlflow_pyfunc.load_python_model(context, settings, config)
        if code := settings.get("code"):
            add_code_directory(inside(directory, code, "code directory"), context.digest)
        if loader.split(".")[0] == "mlflow":
            return _load_with_mlflow(directory, loader, config)
        data = settings.get("data")
        path = inside(directory, data, "python function's data") if data else directory
        with standins():  # a user's loader may name MLflow's exception or base class
            module = import_module(loader)
            return module._load_pyfunc(str(path), dict(config)) if config else module._load_pyfunc(str(path))

    @staticmethod
    def write(
        source: Path,
        directory: Path,
        *,
        entry: str | None = None,
        artifacts: Mapping[str, Path] | None = None,
        code: tuple[Path, ...] = (),
        config: Mapping[str, Any] | None = None,
        batchable: bool = False,
    ) -> Written:
        """Writes a model from code: the file, its artifacts, the modules it imports, and the loader for MLflow.

        Raises PackagingFailed where something is missing or two things have one name.
        """
        if source.suffix != ".py" or not source.is_file():
            raise PackagingFailed(f"{source} is no Python file.")
        for file in [source, *(p for extra in code for p in _python_files(extra))]:
            _check_syntax(file)
        shutil.copyfile(source, directory / SOURCE)
        (directory / "code").mkdir()
        shutil.copyfile(python_loader.__file__, directory / "code" / f"{OWN_LOADER}.py")
        for extra in code:
            _copy(extra, directory / "code" / extra.name)
        places: dict[str, dict[str, str]] = {}
        for name, path in (artifacts or {}).items():
            if not name.isidentifier():
                raise PackagingFailed(f"An artifact's name must be an identifier, not {name!r}.")
            (directory / "artifacts" / name).mkdir(parents=True)
            _copy(path, directory / "artifacts" / name / path.name)
            places[name] = {"path": f"artifacts/{name}/{path.name}", "uri": path.name}
        settings: dict[str, Any] = {
            "loader_module": OWN_LOADER,
            "code": "code",
            "source": SOURCE,
            "predict_fn": "predict",
        }
        if entry:
            settings["entry"] = entry
        if places:
            settings["artifacts"] = places
        if config:
            settings["config"] = dict(config)
        requirements = _requirements([source, *(p for extra in code for p in _python_files(extra))])
        return Written(flavors={PYTHON_FUNCTION: settings}, requirements=requirements, batchable=batchable)


def _check_syntax(source: Path) -> None:
    try:
        ast.parse(source.read_bytes(), str(source))
    except (SyntaxError, ValueError) as error:
        raise PackagingFailed(f"{source} is not valid Python: {error}.") from None


def _copy(source: Path, target: Path) -> None:
    if not source.exists():
        raise PackagingFailed(f"There is nothing at {source}.")
    if target.exists():
        raise PackagingFailed(f"Two files would be {target.name!r} in the package.")
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        shutil.copyfile(source, target)


def _python_files(path: Path) -> list[Path]:
    return sorted(path.rglob("*.py")) if path.is_dir() else [path] if path.suffix == ".py" and path.is_file() else []


def _requirements(sources: list[Path]) -> tuple[str, ...]:
    """Pins for what the sources import, as installed here; frames need pandas, the loader PyYAML."""
    from importlib.metadata import packages_distributions, version

    imported = {"numpy", "pandas", "yaml"}
    for source in sources:
        for node in ast.walk(ast.parse(source.read_bytes(), str(source))):
            if isinstance(node, ast.Import):
                imported |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                imported.add(node.module.partition(".")[0])
    found = packages_distributions()
    return tuple(sorted({f"{name}=={version(name)}" for module in imported for name in found.get(module, ())}))


def _modules(code: Path) -> set[str]:
    return {p.name for p in code.iterdir() if p.name != "__pycache__"} if code.is_dir() else set()


def _load_with_mlflow(directory: Path, loader: str, config: Mapping[str, Any]) -> Any:
    """What MLflow gives; its `predict` calls the model's, whatever that one is called."""
    if not mlflow_installed():
        raise DependencyMissing(
            f"The package is loaded by {loader!r}, which is for MLflow to call, and MLflow is not installed.",
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


class PyfuncPredictor(Predictor):
    """Calls a Python function with what MLflow would hand it."""

    def __init__(self, function: Any, *, joinable: bool) -> None:
        self.joinable = joinable
        self._function = function
        self._takes_params = "params" in inspect.signature(function).parameters

    def _predict(self, payload: Payload, params: Params) -> Payload:
        given = to_python(payload)
        result = (
            self._function(given, params=None if params is None else dict(params))
            if self._takes_params
            else self._function(given)
        )
        return from_python(result, rows_of_lists=self.joinable)
