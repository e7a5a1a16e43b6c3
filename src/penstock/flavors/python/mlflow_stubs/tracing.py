"""MLflow's tracing, which records nothing here: what pickled wrappers of `@mlflow.trace` name, and what code calls."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any


def trace(function: Any = None, *_: Any, **__: Any) -> Any:
    """The decorator; the function stays as it is."""
    return function if function is not None else lambda decorated: decorated


class SpanType:
    """Names of kinds of spans; models pass them to the decorator."""

    LLM = "LLM"
    CHAIN = "CHAIN"
    AGENT = "AGENT"
    TOOL = "TOOL"
    CHAT_MODEL = "CHAT_MODEL"
    RETRIEVER = "RETRIEVER"
    PARSER = "PARSER"
    EMBEDDING = "EMBEDDING"
    RERANKER = "RERANKER"
    MEMORY = "MEMORY"
    UNKNOWN = "UNKNOWN"
    WORKFLOW = "WORKFLOW"
    TASK = "TASK"
    GUARDRAIL = "GUARDRAIL"
    EVALUATOR = "EVALUATOR"


@dataclass
class Document:
    """What a retriever found."""

    page_content: str
    metadata: dict[str, Any] = field(default_factory=dict)
    id: str | None = None

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


class SpanStatusCode:
    OK = "OK"
    ERROR = "ERROR"
    UNSET = "UNSET"


class SpanEvent:
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Takes whatever the real one takes."""

    @classmethod
    def from_exception(cls, exception: BaseException) -> SpanEvent:
        return cls()


class NoOpSpan:
    """Takes everything, keeps nothing."""

    trace_id = request_id = span_id = "MLFLOW_NO_OP_SPAN_TRACE_ID"
    name = ""
    parent_id = inputs = outputs = span_type = status = start_time_ns = end_time_ns = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.attributes: dict[str, Any] = {}
        self.events: list[Any] = []

    def get_attribute(self, key: str) -> None: ...
    def set_attribute(self, key: str, value: Any) -> None: ...
    def set_attributes(self, attributes: dict[str, Any]) -> None: ...
    def set_inputs(self, inputs: Any) -> None: ...
    def set_outputs(self, outputs: Any) -> None: ...
    def set_span_type(self, span_type: str) -> None: ...
    def set_status(self, status: Any) -> None: ...
    def add_event(self, event: Any) -> None: ...
    def record_exception(self, exception: Any) -> None: ...
    def end(self, *args: Any, **kwargs: Any) -> None: ...


class _Keys(type):
    def __getattr__(cls, name: str) -> str:
        return name


class SpanAttributeKey(metaclass=_Keys):
    """Every key is its own name, since nobody reads what is kept under it."""


class TraceJSONEncoder(json.JSONEncoder):
    def default(self, o: Any) -> Any:
        return str(o)


@contextmanager
def start_span(*_: Any, **__: Any) -> Iterator[NoOpSpan]:
    yield NoOpSpan()


@contextmanager
def nothing(*_: Any, **__: Any) -> Iterator[None]:
    """In place of what sets something for the length of a block."""
    yield


def capture_function_input_args(function: Any, args: Any, kwargs: Any) -> None:
    """Nobody would read them."""


def start_span_no_context(*_: Any, **__: Any) -> NoOpSpan:
    return NoOpSpan()


def get_current_active_span() -> None:
    """There is never one."""


def ignored(*_: Any, **__: Any) -> None:
    """In place of what configures tracing: autolog(), update_current_trace() …"""


CALLS: Mapping[str, Any] = {
    "trace": trace,
    "start_span": start_span,
    "start_span_no_context": start_span_no_context,
    "get_current_active_span": get_current_active_span,
    "update_current_trace": ignored,
    # Where recordings would go.
    "set_experiment": ignored,
    "set_registry_uri": ignored,
    "set_tracking_uri": ignored,
}

MODULES: Mapping[str, Mapping[str, Any]] = {
    "mlflow.entities": {
        "Document": Document,
        "SpanType": SpanType,
        "SpanStatusCode": SpanStatusCode,
        "SpanEvent": SpanEvent,
    },
    "mlflow.entities.span": {"SpanType": SpanType, "NoOpSpan": NoOpSpan},
    "mlflow.entities.span_event": {"SpanEvent": SpanEvent},
    "mlflow.entities.span_status": {"SpanStatusCode": SpanStatusCode},
    "mlflow.tracing": {"enable": ignored, "disable": ignored},
    "mlflow.tracing.constant": {"SpanAttributeKey": SpanAttributeKey},
    "mlflow.tracing.fluent": {**CALLS, "_set_sampling_ratio_override": nothing},
    "mlflow.tracing.provider": {"safe_set_span_in_context": nothing},
    "mlflow.tracing.utils": {
        "TraceJSONEncoder": TraceJSONEncoder,
        "capture_function_input_args": capture_function_input_args,
    },
    # Libraries whose calls MLflow would record; of each, nothing but the switch is here.
    **{
        f"mlflow.{library}": {"autolog": ignored}
        for library in (
            "anthropic",
            "autogen",
            "bedrock",
            "crewai",
            "dspy",
            "gemini",
            "groq",
            "langchain",
            "litellm",
            "llama_index",
            "mistral",
            "openai",
            "pydantic_ai",
            "smolagents",
        )
    },
}
