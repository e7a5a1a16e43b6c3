"""Loads a model from code: a Python file that defines a function, or a class with `load` and `predict`.

This file is copied into every package that `penstock package python` writes, as code/penstock_loader.py, so that
MLflow, which knows nothing of Penstock, loads the package too: it calls `_load_pyfunc`. Penstock runs the same code.
Hence: standard library only, and PyYAML, which MLflow brings.

The file is the model's `source`. Its `entry` is a function `predict(inputs, params)` or a class, made without
arguments, with `predict(inputs, params)` and, if it likes, `load(context)`, called once. `params` may be left out.
`context.artifacts` maps names to absolute paths, `context.model_config` holds the settings given when it was packaged.
"""

import importlib.util
import inspect
import os
import sys
from types import ModuleType, SimpleNamespace
from typing import Any

DEFAULT_ENTRIES = ("predict", "Model")


class LoadedSource:
    """What MLflow calls: `predict(model_input, params)`."""

    def __init__(self, module: ModuleType, entry: str, artifacts: dict[str, str], config: dict[str, Any]) -> None:
        target: Any = getattr(module, entry)
        if inspect.isclass(target):
            instance: Any = target()
            if hasattr(instance, "load"):
                instance.load(SimpleNamespace(artifacts=artifacts, model_config=config))
            target = instance.predict
        self._call = target
        self._takes_params = takes_params(target)

    def predict(self, model_input: Any, params: dict[str, Any] | None = None) -> Any:
        return self._call(model_input, params or {}) if self._takes_params else self._call(model_input)


def takes_params(function: Any) -> bool:
    """Whether a predict function wants a second argument."""
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return sum(p.kind in kinds for p in inspect.signature(function).parameters.values()) > 1


def find_entry(module: ModuleType, entry: str | None) -> str:
    """The name to use. Raises AttributeError where the file defines nothing suitable."""
    for name in [entry] if entry else DEFAULT_ENTRIES:
        if callable(getattr(module, name, None)):
            return name
    wanted = entry or " or ".join(DEFAULT_ENTRIES)
    raise AttributeError(f"the file defines no callable named {wanted}")


def import_file(path: str, module_name: str, loader: Any = None) -> ModuleType:
    """Runs the file under a module name of its own; leaves no bytecode beside it."""
    spec = importlib.util.spec_from_file_location(module_name, path, loader=loader)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} cannot be imported")
    module = importlib.util.module_from_spec(spec)
    before, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    sys.modules[module_name] = module  # dataclasses and pickles look their module up
    try:
        spec.loader.exec_module(module)
    except BaseException:
        sys.modules.pop(module_name, None)
        raise
    finally:
        sys.dont_write_bytecode = before
    return module


def load_source(
    directory: str, settings: dict[str, Any], config: dict[str, Any] | None = None, module_name: str = "penstock_model"
) -> LoadedSource:
    """The model of the package at `directory`; `settings` is its python_function section."""
    module = import_file(os.path.join(directory, settings["source"]), module_name)
    artifacts = {
        name: os.path.abspath(os.path.join(directory, artifact["path"]))
        for name, artifact in (settings.get("artifacts") or {}).items()
    }
    return LoadedSource(module, find_entry(module, settings.get("entry")), artifacts, dict(config or {}))


def _load_pyfunc(path: str, model_config: dict[str, Any] | None = None) -> LoadedSource:
    """MLflow's entry: `path` is the package's directory."""
    import yaml

    with open(os.path.join(path, "MLmodel"), encoding="utf-8") as file:
        settings = yaml.safe_load(file)["flavors"]["python_function"]
    return load_source(path, settings, model_config)
