"""Modules that stand in for MLflow while one of its packages is loaded where MLflow is not installed.

Pickled PythonModels name a handful of MLflow's classes, and models from code import them. Those few are here, written
anew, and are in sys.modules only while a package loads; a name that is not here raises StandinLacks. An installed
MLflow is never shadowed. Loaded models keep the classes they got; what they raise later still has its error_code.
"""

from __future__ import annotations

import inspect
import json
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from enum import Enum
from functools import wraps
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, NamedTuple

import yaml

from penstock.errors import SchemaViolation
from penstock.flavors.type_hints import (
    TypeFromExample,
    frame_for_hint,
    input_hint,
    is_validated,
    takes_context,
    validate_hinted,
)
from penstock.payload import Violation

# MLflow's numbers for its error codes.
_CODES: Mapping[str, int] = {
    "INTERNAL_ERROR": 1, "TEMPORARILY_UNAVAILABLE": 2, "IO_ERROR": 3, "BAD_REQUEST": 4,
    "SERVICE_UNDER_MAINTENANCE": 5, "WORKSPACE_TEMPORARILY_UNAVAILABLE": 6, "DEADLINE_EXCEEDED": 7, "CANCELLED": 8,
    "RESOURCE_EXHAUSTED": 9, "ABORTED": 10, "NOT_FOUND": 11, "ALREADY_EXISTS": 12, "UNAUTHENTICATED": 13,
    "INVALID_PARAMETER_VALUE": 1000, "ENDPOINT_NOT_FOUND": 1001, "MALFORMED_REQUEST": 1002, "INVALID_STATE": 1003,
    "PERMISSION_DENIED": 1004, "FEATURE_DISABLED": 1005, "CUSTOMER_UNAUTHORIZED": 1006, "REQUEST_LIMIT_EXCEEDED": 1007,
    "RESOURCE_CONFLICT": 1008, "UNPARSEABLE_HTTP_ERROR": 1009, "NOT_IMPLEMENTED": 1010, "DATA_LOSS": 1011,
    "INVALID_STATE_TRANSITION": 2001, "COULD_NOT_ACQUIRE_LOCK": 2002, "RESOURCE_ALREADY_EXISTS": 3001,
    "RESOURCE_DOES_NOT_EXIST": 3002, "QUOTA_EXCEEDED": 4001, "RESOURCE_LIMIT_EXCEEDED": 5002,
}  # fmt: skip
_CODE_NAMES = {number: name for name, number in _CODES.items()}


def error_code_of(error: BaseException | None) -> str | None:
    """The error_code of an MlflowException, MLflow's own or the stand-in; None for any other exception."""
    if error is None or not any(kind.__name__ == "MlflowException" for kind in type(error).__mro__):
        return None
    code = getattr(error, "error_code", None)
    return code if isinstance(code, str) else None


class MlflowException(Exception):
    """`error_code` is the code's name."""

    def __init__(
        self, message: object, error_code: int = 1, sqlstate: Any = None, error_class: Any = None, **kwargs: Any
    ) -> None:
        self.error_code = _CODE_NAMES.get(error_code, "INTERNAL_ERROR")
        self.message = str(message)
        self.sqlstate = sqlstate
        self.error_class = error_class
        self.json_kwargs = kwargs
        super().__init__(self.message)

    def serialize_as_json(self) -> str:
        return json.dumps({"error_code": self.error_code, "message": self.message, **self.json_kwargs})

    @classmethod
    def invalid_parameter_value(cls, message: object, **kwargs: Any) -> MlflowException:
        return cls(message, error_code=_CODES["INVALID_PARAMETER_VALUE"], **kwargs)


class InputRefused(SchemaViolation, MlflowException):
    """Input that a model's type hint refuses. Wrappers pickled by MLflow let only MlflowExceptions through."""

    def __init__(self, violations: tuple[Violation, ...]) -> None:
        super().__init__(violations)
        self.error_code = "INVALID_PARAMETER_VALUE"


class StandinLacks(AttributeError):
    """A name of MLflow's that only MLflow itself has."""


class _Standin(ModuleType):
    def __init__(self, name: str) -> None:
        super().__init__(name, "Stands in for MLflow while a package is loaded.")
        self.__path__: list[str] = []
        # With a spec, find_spec() answers instead of raising ValueError at whoever asks in another thread.
        self.__spec__ = ModuleSpec(name, None, is_package=True)

    def __getattr__(self, name: str) -> Any:
        raise StandinLacks(f"{self.__name__}.{name} needs MLflow, which is not installed", name=name, obj=self)


class TypeHints:
    """Hints of a predict function; its attributes are what pickles set."""

    def __init__(self, input_: Any = None, output: Any = None) -> None:
        self.input = input_
        self.output = output


class FuncInfo(NamedTuple):
    input_type_hint: Any
    input_param_name: str


def _validate_model_input(
    args: tuple[Any, ...], kwargs: dict[str, Any], position: int, hint: Any, name: str
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The arguments of a predict call with the input as its hint wants it. Raises InputRefused."""

    def checked(value: Any) -> Any:
        try:
            return validate_hinted(frame_for_hint(value, hint), hint)
        except SchemaViolation as refused:
            raise InputRefused(refused.violations) from None

    if name in kwargs:
        return args, {**kwargs, name: checked(kwargs[name])}
    if len(args) > position:
        return (*args[:position], checked(args[position]), *args[position + 1 :]), kwargs
    return args, kwargs


def pyfunc(function: Callable[..., Any]) -> Callable[..., Any]:
    """Validates the input of a predict function by its type hint, where it has one that can be used so."""
    parameters = inspect.signature(function).parameters
    behind = 1 if takes_context(parameters) else 0
    name, hint = input_hint(function, behind)
    position = behind + (1 if "self" in parameters else 0)

    @wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        if is_hinted:
            args, kwargs = _validate_model_input(args, kwargs, position, hint, name)
        return function(*args, **kwargs)

    is_hinted = is_validated(hint)
    wrapper._is_pyfunc = True  # type: ignore[attr-defined]
    return wrapper


class PythonModel:
    """Base class of custom models. The predict method of a subclass validates its input by its type hint."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        predict = cls.__dict__.get("predict")
        if callable(predict):  # a class being unpickled has none yet, and gets one that is wrapped already
            cls.predict = pyfunc(predict)  # type: ignore[method-assign]

    def load_context(self, context: PythonModelContext) -> None:
        """Called once, when the model is loaded."""

    def predict(self, context: Any, model_input: Any, params: dict[str, Any] | None = None) -> Any:
        raise NotImplementedError

    def predict_stream(self, context: Any, model_input: Any, params: dict[str, Any] | None = None) -> Any:
        raise NotImplementedError

    @property
    def predict_type_hints(self) -> TypeHints:
        known = self.__dict__.get("_predict_type_hints")
        if not isinstance(known, TypeHints):
            function = getattr(self, "func", self.predict)
            with_context = takes_context(inspect.signature(function).parameters)
            known = TypeHints(input_hint(function, 1 if with_context else 0)[1])
            self._predict_type_hints = known
        return known


class _FunctionPythonModel(PythonModel):
    """A plain function as a model."""

    def __init__(self, func: Callable[..., Any], signature: Any = None) -> None:
        self.signature = signature
        self.func = func if getattr(func, "_is_pyfunc", False) else pyfunc(func)

    def predict(self, model_input: Any, params: dict[str, Any] | None = None) -> Any:  # type: ignore[override]
        return self.func(model_input)


class PythonModelContext:
    """`artifacts` maps names to absolute paths; `model_config` is None where there is no configuration."""

    def __init__(self, artifacts: dict[str, str], model_config: dict[str, Any] | None) -> None:
        self.artifacts = artifacts
        self.model_config = model_config


class CodeRun:
    """One run of a model's file: the configuration it may read, and the model it sets."""

    def __init__(self, config: Mapping[str, Any] | None) -> None:
        self.config = config
        self.model: Any = None


_run: ContextVar[CodeRun | None] = ContextVar("_run", default=None)


@contextmanager
def code_run(config: Mapping[str, Any] | None) -> Iterator[CodeRun]:
    """Takes what `set_model` is called with, here in this thread."""
    run = CodeRun(config)
    token = _run.set(run)
    try:
        yield run
    finally:
        _run.reset(token)


def set_model(model: Any) -> None:
    """Names the object or function that is the model of the file being run."""
    if not isinstance(model, PythonModel) and not callable(model):
        raise MlflowException("set_model() takes a PythonModel or a function; anything else needs MLflow itself")
    if (run := _run.get()) is not None:
        run.model = model


class ModelConfig:
    """The package's configuration; while a file is tried out, the development configuration."""

    def __init__(self, *, development_config: str | Path | Mapping[str, Any] | None = None) -> None:
        run = _run.get()
        self.config = development_config if run is None else run.config
        if not self.config:
            raise FileNotFoundError("The package has no model_config, but its code reads one.")

    def to_dict(self) -> Any:
        if isinstance(self.config, Mapping):
            return self.config
        return yaml.safe_load(Path(str(self.config)).read_text(encoding="utf-8"))

    def get(self, key: str) -> Any:
        return self.to_dict()[key]


class Opaque:
    """A description of MLflow's (signature, schema, column …) that pickles carry along and nobody reads here."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Takes whatever the real one takes."""


class DataType(Enum):
    boolean = 1
    integer = 2
    long = 3
    float = 4
    double = 5
    string = 6
    binary = 7
    datetime = 8


def trace(function: Any = None, **_: Any) -> Any:
    """MLflow's decorator that records calls; here it records nothing."""
    return function if function is not None else lambda decorated: decorated


_SIGNATURES = {name: type(name, (Opaque,), {}) for name in ("ModelSignature",)}
_SCHEMAS = {
    name: type(name, (Opaque,), {})
    for name in (
        "AnyType", "Array", "ColSpec", "Map", "Object", "ParamSchema", "ParamSpec", "Property", "Schema",
        "SparkMLVector", "TensorInfo", "TensorSpec",
    )
}  # fmt: skip
_MODELS = {"PythonModel": PythonModel, "PythonModelContext": PythonModelContext}
_VALIDATION = {"pyfunc": pyfunc, "FuncInfo": FuncInfo, "_validate_model_input": _validate_model_input}
_ERROR_CODE = SimpleNamespace(Name=_CODE_NAMES.__getitem__, Value=_CODES.__getitem__)

# Module -> what is in it, besides its submodules.
_CONTENTS: Mapping[str, Mapping[str, Any]] = {
    "mlflow": {"MlflowException": MlflowException, "trace": trace},
    "mlflow.exceptions": {"MlflowException": MlflowException},
    "mlflow.models": {"ModelConfig": ModelConfig, "set_model": set_model, **_SIGNATURES},
    "mlflow.models.model": {"set_model": set_model},
    "mlflow.models.model_config": {"ModelConfig": ModelConfig},
    "mlflow.models.signature": {"_TypeHints": TypeHints, **_SIGNATURES},
    "mlflow.protos": {},
    "mlflow.protos.databricks_pb2": {**_CODES, "ErrorCode": _ERROR_CODE},
    "mlflow.pyfunc": _MODELS,
    "mlflow.pyfunc.model": {**_MODELS, "_FunctionPythonModel": _FunctionPythonModel},
    "mlflow.pyfunc.utils": {"pyfunc": pyfunc},
    "mlflow.pyfunc.utils.data_validation": _VALIDATION,
    "mlflow.types": {"DataType": DataType, **_SCHEMAS},
    "mlflow.types.schema": {"DataType": DataType, **_SCHEMAS},
    "mlflow.types.type_hints": {"TypeFromExample": TypeFromExample},
}


def _modules() -> dict[str, ModuleType]:
    modules: dict[str, ModuleType] = {}
    for name, content in _CONTENTS.items():
        module = modules[name] = _Standin(name)
        vars(module).update(content)
        parent, _, child = name.rpartition(".")
        if parent:
            setattr(modules[parent], child, module)
    return modules


# The only state: how many loads need the stand-ins now, and what they hide meanwhile. Guarded by _lock.
_lock = threading.Lock()
_users = 0
_hidden: dict[str, ModuleType] = {}


def mlflow_installed() -> bool:
    """Whether MLflow itself can be imported; stand-ins and a mere directory of that name do not count."""
    present = sys.modules.get("mlflow", ...)
    if present is not ...:
        return present is not None and not isinstance(present, _Standin)
    spec = find_spec("mlflow")
    return spec is not None and spec.origin is not None


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
