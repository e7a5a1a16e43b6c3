"""MLflow's base classes of models, the contexts they get, and what a model's file calls to say what its model is."""

from __future__ import annotations

import inspect
from abc import ABCMeta, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import wraps
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import yaml

from penstock.errors import SchemaViolation
from penstock.flavors.python.mlflow_stubs.exceptions import InputRefused, MlflowException
from penstock.flavors.python.type_hints import frame_for_hint, input_hint, is_validated, takes_context, validate_hinted


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


def model_validate(model: Any, values: Any) -> None:
    """Strictly, as a pydantic model. Raises pydantic.ValidationError."""
    model.model_validate(values, strict=True)


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

    _skip_type_hint_validation: ClassVar[bool] = False

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        predict = cls.__dict__.get("predict")
        if (
            callable(predict) and not cls._skip_type_hint_validation
        ):  # a class being unpickled has none yet, and gets one that is wrapped already
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


RESPONSES = "penstock.flavors.python.mlflow_stubs.responses"


def _responses(name: str) -> Any:
    """A function of `responses`, which loads pydantic, found when it is called."""

    def late(*args: Any, **kwargs: Any) -> Any:
        return getattr(import_module(RESPONSES), name)(*args, **kwargs)

    return staticmethod(late)


class ChatModel(PythonModel, metaclass=ABCMeta):
    """Messages and settings in, a chat completion out."""

    _skip_type_hint_validation = True

    @abstractmethod
    def predict(self, context: Any, messages: Any, params: Any) -> Any: ...  # type: ignore[override]


class ChatAgent(PythonModel, metaclass=ABCMeta):
    """Messages in, messages out. `predict` also takes the whole request as one dict."""

    _skip_type_hint_validation = True

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        _take_dicts(cls, "penstock.flavors.python.mlflow_stubs.agents", "ChatAgentRequest", unpack=True)

    @abstractmethod
    def predict(  # type: ignore[override]
        self, messages: Any, context: Any = None, custom_inputs: Any = None
    ) -> Any: ...

    def _convert_messages_to_dict(self, messages: Any) -> list[dict[str, Any]]:
        return [message.model_dump(exclude_none=True) for message in messages]


def _take_dicts(cls: type, module: str, request: str, *, unpack: bool) -> None:
    """Lets the predict methods of a class take a request as a dict, too. One being unpickled is wrapped already."""
    for name in ("predict", "predict_stream"):
        method = cls.__dict__.get(name)
        if callable(method):
            setattr(cls, name, _taking_dicts(method, module, request, unpack))


def _taking_dicts(method: Callable[..., Any], module: str, request: str, unpack: bool) -> Callable[..., Any]:
    names = [name for name in inspect.signature(method).parameters if name != "self"]

    @wraps(method)
    def wrapper(self: Any, *args: Any, **kwargs: Any) -> Any:
        if len(args) == 1 and not kwargs and isinstance(args[0], dict):
            given = getattr(import_module(module), request)(**args[0])
            return method(self, **{name: getattr(given, name) for name in names}) if unpack else method(self, given)
        return method(self, *args, **kwargs)

    wrapper._is_pyfunc = True  # type: ignore[attr-defined]
    return wrapper


class ResponsesAgent(PythonModel, metaclass=ABCMeta):
    """A request in the shape of OpenAI's Responses in, a response out; and what makes the items of one."""

    _skip_type_hint_validation = True

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        _take_dicts(cls, RESPONSES, "ResponsesAgentRequest", unpack=False)

    @abstractmethod
    def predict(self, request: Any) -> Any: ...  # type: ignore[override]

    create_text_delta = _responses("create_text_delta")
    create_annotation_added = _responses("create_annotation_added")
    create_text_output_item = _responses("create_text_output_item")
    create_reasoning_item = _responses("create_reasoning_item")
    create_function_call_item = _responses("create_function_call_item")
    create_function_call_output_item = _responses("create_function_call_output_item")
    responses_agent_output_reducer = _responses("responses_agent_output_reducer")
    prep_msgs_for_cc_llm = _responses("to_chat_completions_input")
    output_to_responses_items_stream = _responses("output_to_responses_items_stream")
    _responses_to_cc = _responses("responses_to_cc")


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
