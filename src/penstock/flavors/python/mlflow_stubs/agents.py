"""mlflow.types.agent: what MLflow's ChatAgent takes and gives, as pydantic models."""

from __future__ import annotations

from typing import Any, Self

from pydantic import BaseModel, ConfigDict, model_validator

from penstock.flavors.python.mlflow_stubs.chat_completions import ChatUsage, ToolCall

__all__ = [
    "ChatAgentChunk",
    "ChatAgentMessage",
    "ChatAgentRequest",
    "ChatAgentResponse",
    "ChatContext",
]


class ChatAgentMessage(BaseModel):
    role: str
    content: str | None = None
    name: str | None = None
    id: str | None = None
    tool_calls: list[ToolCall] | None = None
    tool_call_id: str | None = None
    attachments: dict[str, str] | None = None

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if self.content is None and self.tool_calls is None:
            raise ValueError("Either 'content' or 'tool_calls' must be provided.")
        if self.role == "tool" and not (self.name and self.tool_call_id):
            raise ValueError("Both 'name' and 'tool_call_id' must be provided for tool messages.")
        return self


class ChatContext(BaseModel):
    conversation_id: str | None = None
    user_id: str | None = None


class ChatAgentRequest(BaseModel):
    messages: list[ChatAgentMessage]
    context: ChatContext | None = None
    custom_inputs: dict[str, Any] | None = None
    stream: bool | None = False


class ChatAgentResponse(BaseModel):
    """Every message has an id of its own."""

    model_config = ConfigDict(validate_assignment=True)

    messages: list[ChatAgentMessage]
    finish_reason: str | None = None
    custom_outputs: dict[str, Any] | None = None
    usage: ChatUsage | None = None

    @model_validator(mode="after")
    def _has_ids(self) -> Self:
        ids = [message.id for message in self.messages]
        if None in ids or len(set(ids)) < len(ids):
            raise ValueError("All messages must have an ID, each another one, for example str(uuid.uuid4()).")
        return self


class ChatAgentChunk(BaseModel):
    """Part of one message of a streamed answer."""

    model_config = ConfigDict(validate_assignment=True)

    delta: ChatAgentMessage
    finish_reason: str | None = None
    custom_outputs: dict[str, Any] | None = None
    usage: ChatUsage | None = None

    @model_validator(mode="after")
    def _has_id(self) -> Self:
        if self.delta.id is None:
            raise ValueError("The message must have an ID, for example str(uuid.uuid4()).")
        return self
