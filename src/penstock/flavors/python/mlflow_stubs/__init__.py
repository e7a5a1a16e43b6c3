"""Modules that stand in for MLflow while one of its packages is loaded where MLflow is not installed.

Pickled PythonModels name a handful of MLflow's classes, and models from code import them. Those few are here, written
anew, and are in sys.modules only while a package loads, or while its own code imports (`imports`); a name that is not
here raises StandinLacks. An installed MLflow is never shadowed. What models raise later still has its error_code.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from importlib import import_module
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType
from typing import Any

from penstock.flavors.python.mlflow_stubs import models, tracing
from penstock.flavors.python.mlflow_stubs.descriptions import SCHEMAS, SIGNATURES, infer_signature
from penstock.flavors.python.mlflow_stubs.exceptions import (
    CODES,
    ERROR_CODE,
    InputRefused,
    MlflowException,
    StandinLacks,
)
from penstock.flavors.python.mlflow_stubs.models import (
    CodeRun,
    PythonModelContext,
    _FunctionPythonModel,
    code_run,
    pyfunc,
)
from penstock.flavors.python.type_hints import TypeFromExample

__all__ = [
    "CodeRun",
    "InputRefused",
    "MlflowException",
    "PythonModelContext",
    "StandinLacks",
    "_FunctionPythonModel",
    "code_run",
    "mlflow_installed",
    "pyfunc",
    "standins",
]

_MODELS = {
    "PythonModel": models.PythonModel,
    "PythonModelContext": PythonModelContext,
    "ChatModel": models.ChatModel,
    "ChatAgent": models.ChatAgent,
    "ResponsesAgent": models.ResponsesAgent,
}
_VALIDATION = {
    "pyfunc": pyfunc,
    "FuncInfo": models.FuncInfo,
    "_validate_model_input": models._validate_model_input,
}

# Module -> what is in it, besides its submodules.
_CONTENTS: Mapping[str, Mapping[str, Any]] = {
    "mlflow": {"MlflowException": MlflowException, **tracing.CALLS},
    "mlflow.exceptions": {"MlflowException": MlflowException},
    "mlflow.models": {
        "ModelConfig": models.ModelConfig,
        "set_model": models.set_model,
        "infer_signature": infer_signature,
        **SIGNATURES,
    },
    "mlflow.models.model": {"set_model": models.set_model},
    "mlflow.models.model_config": {"ModelConfig": models.ModelConfig},
    "mlflow.models.signature": {
        "_TypeHints": models.TypeHints,
        "infer_signature": infer_signature,
        **SIGNATURES,
    },
    "mlflow.protos": {},
    "mlflow.protos.databricks_pb2": {**CODES, "ErrorCode": ERROR_CODE},
    "mlflow.pyfunc": _MODELS,
    "mlflow.pyfunc.model": {**_MODELS, "_FunctionPythonModel": _FunctionPythonModel},
    "mlflow.pyfunc.utils": {"pyfunc": pyfunc},
    "mlflow.pyfunc.utils.data_validation": _VALIDATION,
    "mlflow.types": SCHEMAS,
    "mlflow.types.schema": SCHEMAS,
    "mlflow.types.type_hints": {"TypeFromExample": TypeFromExample, "model_validate": models.model_validate},
    **tracing.MODULES,
}

# Module -> ours with its names, imported when one of them is asked for: most load pydantic.
_LATE: Mapping[str, str] = {
    "mlflow.types.llm": "penstock.flavors.python.mlflow_stubs.chat_models",
    "mlflow.types.chat": "penstock.flavors.python.mlflow_stubs.chat_completions",
    "mlflow.types.agent": "penstock.flavors.python.mlflow_stubs.agents",
    "mlflow.types.responses": "penstock.flavors.python.mlflow_stubs.responses",
    "mlflow.types.responses_helpers": "penstock.flavors.python.mlflow_stubs.responses_items",
}


class _Standin(ModuleType):
    def __init__(self, name: str) -> None:
        super().__init__(name, "Stands in for MLflow while a package is loaded.")
        self.__path__: list[str] = []
        # With a spec, find_spec() answers instead of raising ValueError in another thread.
        self.__spec__ = ModuleSpec(name, None, is_package=True)

    def __getattr__(self, name: str) -> Any:
        late = _LATE.get(self.__name__)
        if late is not None and not name.startswith("__"):
            ours = import_module(late)
            if name in ours.__all__:
                return getattr(ours, name)
        raise StandinLacks(f"{self.__name__}.{name} needs MLflow, which is not installed", name=name, obj=self)


@cache
def _modules() -> dict[str, ModuleType]:
    modules: dict[str, ModuleType] = {}
    for name in (*_CONTENTS, *_LATE):
        module = modules[name] = _Standin(name)
        vars(module).update(_CONTENTS.get(name, {}))
        parent, _, child = name.rpartition(".")
        if parent:
            setattr(modules[parent], child, module)
    return modules


# The stand-in that training programs import: an attribute of its modules, and where PYTHONPATH finds it.
_OF_PROGRAMS = "__penstock_stand_in__"
_FILE_OF_PROGRAMS = os.path.join("penstock", "stand_in", "path", "mlflow", "__init__.py")

# The only state: how many loads need the stand-ins now, and what they hide meanwhile. Guarded by _lock.
_lock = threading.Lock()
_users = 0
_hidden: dict[str, ModuleType] = {}


def mlflow_installed() -> bool:
    """Whether MLflow itself can be imported; stand-ins, ours for training programs among them, and a mere directory of
    that name do not count."""
    present = sys.modules.get("mlflow", ...)
    if present is not ...:
        return present is not None and not isinstance(present, _Standin) and not hasattr(present, _OF_PROGRAMS)
    spec = find_spec("mlflow")
    return spec is not None and spec.origin is not None and not spec.origin.endswith(_FILE_OF_PROGRAMS)


@contextmanager
def standins() -> Iterator[None]:
    """Makes `import mlflow` find the stand-ins inside the block, in the whole process, unless MLflow is installed.

    Loads may overlap in several threads: the first one in puts them there, the last one out takes them away.
    """
    global _users
    if mlflow_installed():
        yield
        return
    with _lock:
        if not _users:
            _hidden.update(_taken_out())
            sys.modules.update(_modules())
        _users += 1
    try:
        yield
    finally:
        with _lock:
            _users -= 1
            if not _users:
                _taken_out()
                sys.modules.update(_hidden)
                _hidden.clear()


def _taken_out() -> dict[str, ModuleType]:
    names = [name for name in list(sys.modules) if name == "mlflow" or name.startswith("mlflow.")]
    return {name: sys.modules.pop(name) for name in names}
