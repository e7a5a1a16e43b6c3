"""mlflow.types.llm: the messages, settings and completions of MLflow's ChatModel, as dataclasses.

Fields and their order are those of MLflow's classes, since models make them by name and position and answers are
written in that order. Values are checked by the fields' types when an object is made; dicts become what a field holds.
"""

from __future__ import annotations

import time
import uuid
from dataclasses import asdict, dataclass, field, fields
from functools import cache
from types import NoneType, UnionType
from typing import Any, Literal, Self, Union, get_args, get_origin, get_type_hints

__all__ = [
    "ChatChoice",
    "ChatChoiceDelta",
    "ChatChoiceLogProbs",
    "ChatChunkChoice",
    "ChatCompletionChunk",
    "ChatCompletionRequest",
    "ChatCompletionResponse",
    "ChatMessage",
    "ChatParams",
    "ChatRequest",
    "ChatResponse",
    "FunctionToolCallArguments",
    "FunctionToolDefinition",
    "ParamProperty",
    "ParamType",
    "TokenLogProb",
    "TokenUsageStats",
    "ToolCall",
    "ToolDefinition",
    "ToolParamsSchema",
    "TopTokenLogProb",
]

JsonType = Literal["string", "number", "integer", "object", "array", "boolean", "null"]


@dataclass
class _Checked:
    def __post_init__(self) -> None:
        kind: Any = type(self)
        for name, hint in _hints(kind).items():
            setattr(self, name, _fitted(getattr(self, name), hint, name))

    def to_dict(self) -> dict[str, Any]:
        return asdict(self, dict_factory=lambda pairs: {key: value for key, value in pairs if value is not None})

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """Other keys are left out."""
        known = {one.name for one in fields(cls)}
        return cls(**{key: value for key, value in data.items() if key in known})


@cache
def _hints(cls: Any) -> dict[str, Any]:
    return get_type_hints(cls)


def _fitted(value: Any, hint: Any, name: str) -> Any:
    """The value as a field of this type holds it. Raises ValueError."""
    if get_origin(hint) in (Union, UnionType):
        kinds = [kind for kind in get_args(hint) if kind is not NoneType]
        if value is None or len(kinds) > 1:  # several kinds are for the class to tell apart
            return value
        return _fitted(value, kinds[0], name)
    if hint is Any:
        return value
    if value is None:
        raise ValueError(f"`{name}` is required")
    origin, args = get_origin(hint), get_args(hint)
    if origin is Literal:
        if value not in args:
            raise ValueError(f"`{name}` must be one of {list(args)}, got {value}")
        return value
    if origin is list:
        return [_fitted(item, args[0], f"{name} items") for item in _of_kind(value, list, name)]
    if origin is dict:
        return {
            _of_kind(k, str, f"{name} keys"): _fitted(v, args[1], name) for k, v in _of_kind(value, dict, name).items()
        }
    if isinstance(value, dict) and issubclass(hint, _Checked):
        try:
            return hint.from_dict(value)
        except TypeError as error:
            raise ValueError(f"`{name}` is no {hint.__name__}: {error}") from None
    return _of_kind(value, hint, name)


def _of_kind(value: Any, kind: type, name: str) -> Any:
    if not isinstance(value, kind):
        raise ValueError(f"`{name}` must be of type {kind.__name__}, got {type(value).__name__}")
    return value


def _new_id() -> str:
    return str(uuid.uuid4())


def _now() -> int:
    return int(time.time())


@dataclass
class FunctionToolCallArguments(_Checked):
    """`arguments` is JSON text."""

    name: str
    arguments: str

    def to_tool_call(self, id: str | None = None) -> ToolCall:
        return ToolCall(id=id or _new_id(), function=self)


@dataclass
class ToolCall(_Checked):
    function: FunctionToolCallArguments
    id: str = field(default_factory=_new_id)
    type: str = "function"


@dataclass
class ChatMessage(_Checked):
    """Has a content, which is text or a list of parts, or else a refusal or tool calls."""

    role: str
    content: str | list[dict[str, Any]] | None = None
    refusal: str | None = None
    name: str | None = None
    tool_calls: list[ToolCall] | None = None
    tool_call_id: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.refusal and self.content:
            raise ValueError("Both `content` and `refusal` cannot be set")
        if isinstance(self.content, list):
            _fitted(self.content, list[dict[Any, Any]], "content")
        elif not self.refusal:
            _fitted(self.content, str | None if self.tool_calls else str, "content")


@dataclass
class ChatChoiceDelta(_Checked):
    role: str | None = "assistant"
    content: str | None = None
    refusal: str | None = None
    name: str | None = None
    tool_calls: list[ToolCall] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.refusal and self.content:
            raise ValueError("Both `content` and `refusal` cannot be set")


@dataclass
class ParamType(_Checked):
    type: JsonType


@dataclass
class ParamProperty(ParamType):
    description: str | None = None
    enum: list[str] | None = None
    items: ParamProperty | None = None


@dataclass
class ToolParamsSchema(_Checked):
    properties: dict[str, ParamProperty]
    type: Literal["object"] = "object"
    required: list[str] | None = None
    additionalProperties: bool | None = None


@dataclass
class FunctionToolDefinition(_Checked):
    name: str
    description: str | None = None
    parameters: ToolParamsSchema | None = None
    strict: bool = False

    def to_tool_definition(self) -> ToolDefinition:
        return ToolDefinition(function=self)


@dataclass
class ToolDefinition(_Checked):
    function: FunctionToolDefinition
    type: Literal["function"] = "function"


@dataclass
class ChatParams(_Checked):
    """How the model is to answer."""

    temperature: float = 1.0
    max_tokens: int | None = None
    stop: list[str] | None = None
    n: int = 1
    stream: bool = False
    top_p: float | None = None
    top_k: int | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    custom_inputs: dict[str, Any] | None = None
    tools: list[ToolDefinition] | None = None

    @classmethod
    def keys(cls) -> set[str]:
        return {one.name for one in fields(cls)}


@dataclass
class ChatCompletionRequest(ChatParams):
    messages: list[ChatMessage] = field(default_factory=list)


@dataclass
class TopTokenLogProb(_Checked):
    token: str
    logprob: float
    bytes: list[int] | None = None


@dataclass
class TokenLogProb(_Checked):
    token: str
    logprob: float
    top_logprobs: list[TopTokenLogProb]
    bytes: list[int] | None = None


@dataclass
class ChatChoiceLogProbs(_Checked):
    content: list[TokenLogProb] | None = None


@dataclass
class ChatChoice(_Checked):
    message: ChatMessage
    index: int = 0
    finish_reason: str = "stop"
    logprobs: ChatChoiceLogProbs | None = None


@dataclass
class ChatChunkChoice(_Checked):
    delta: ChatChoiceDelta
    index: int = 0
    finish_reason: str | None = None
    logprobs: ChatChoiceLogProbs | None = None


@dataclass
class TokenUsageStats(_Checked):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    total_tokens: int | None = None


@dataclass
class ChatCompletionResponse(_Checked):
    choices: list[ChatChoice]
    usage: TokenUsageStats | None = None
    id: str | None = None
    model: str | None = None
    object: str = "chat.completion"
    created: int = field(default_factory=_now)
    custom_outputs: dict[str, Any] | None = None


@dataclass
class ChatCompletionChunk(_Checked):
    choices: list[ChatChunkChoice]
    usage: TokenUsageStats | None = None
    id: str | None = None
    model: str | None = None
    object: str = "chat.completion.chunk"
    created: int = field(default_factory=_now)
    custom_outputs: dict[str, Any] | None = None


# Their names before 2.18.
ChatRequest = ChatCompletionRequest
ChatResponse = ChatCompletionResponse
