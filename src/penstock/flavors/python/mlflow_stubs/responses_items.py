"""mlflow.types.responses_helpers: the parts of OpenAI's Responses, as pydantic models.

An item of a list may be of many kinds; it keeps its fields as they are, and is checked by the kind that its `type`
names.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

__all__ = [
    "Annotation",
    "BaseRequestPayload",
    "Content",
    "FunctionCallOutput",
    "FunctionTool",
    "IncompleteDetails",
    "InputTokensDetails",
    "McpApprovalRequest",
    "McpApprovalResponse",
    "Message",
    "OutputItem",
    "OutputTokensDetails",
    "ReasoningParams",
    "Response",
    "ResponseCompletedEvent",
    "ResponseError",
    "ResponseErrorEvent",
    "ResponseFunctionToolCall",
    "ResponseInputTextParam",
    "ResponseOutputItemDoneEvent",
    "ResponseOutputMessage",
    "ResponseOutputRefusal",
    "ResponseOutputText",
    "ResponseReasoningItem",
    "ResponseTextAnnotationDeltaEvent",
    "ResponseTextDeltaEvent",
    "ResponseUsage",
    "Summary",
    "Tool",
    "ToolChoice",
    "ToolChoiceFunction",
]


class Status(BaseModel):
    status: str | None = None

    @model_validator(mode="after")
    def _known_status(self) -> Self:
        if self.status not in (None, "in_progress", "completed", "incomplete"):
            raise ValueError(f"Invalid status: {self.status}. Must be 'in_progress', 'completed', or 'incomplete'.")
        return self


class ByType(BaseModel):
    """Keeps whatever it is given. `kinds` says what a `type` is checked by; `others` is whether it may be another."""

    model_config = ConfigDict(extra="allow")
    kinds: ClassVar[Mapping[str, type[BaseModel] | None]] = {}
    others: ClassVar[bool] = False

    type: str

    @model_validator(mode="after")
    def _fits_its_kind(self) -> Self:
        if self.type not in self.kinds and not self.others:
            raise ValueError(f"Invalid type: {self.type} for {type(self).__name__}")
        kind = self.kinds.get(self.type)
        if kind is not None:
            kind(**self.model_dump())
        return self


class AnnotationFileCitation(BaseModel):
    file_id: str
    index: int
    type: str = "file_citation"


class AnnotationURLCitation(BaseModel):
    end_index: int | None = None
    start_index: int | None = None
    title: str
    type: str = "url_citation"
    url: str


class AnnotationFilePath(BaseModel):
    file_id: str
    index: int
    type: str = "file_path"


class Annotation(ByType):
    kinds = {
        "file_citation": AnnotationFileCitation,
        "url_citation": AnnotationURLCitation,
        "file_path": AnnotationFilePath,
    }


class ResponseOutputText(BaseModel):
    annotations: list[Annotation] = Field(default_factory=list)
    text: str
    type: str = "output_text"


class ResponseOutputRefusal(BaseModel):
    refusal: str
    type: str = "refusal"


class Content(ByType):
    kinds = {"output_text": ResponseOutputText, "refusal": ResponseOutputRefusal}


class ResponseOutputMessage(Status):
    id: str
    content: list[Content]
    role: str = "assistant"
    type: str = "message"

    @model_validator(mode="after")
    def _is_the_assistants(self) -> Self:
        if self.role != "assistant":
            raise ValueError(f"Invalid role: {self.role}. Must be 'assistant'.")
        if not self.content:
            raise ValueError("content must not be an empty list")
        return self


class ResponseFunctionToolCall(Status):
    arguments: str
    call_id: str
    name: str
    type: str = "function_call"
    id: str | None = None


class Summary(BaseModel):
    text: str
    type: str = "summary_text"


class ResponseReasoningItem(Status):
    id: str
    summary: list[Summary]
    type: str = "reasoning"


class McpApprovalRequest(Status):
    id: str
    arguments: str
    name: str
    server_label: str
    type: str = "mcp_approval_request"


class McpApprovalResponse(Status):
    approval_request_id: str
    approve: bool
    type: str = "mcp_approval_response"
    id: str | None = None
    reason: str | None = None


class FunctionCallOutput(Status):
    call_id: str
    output: str | list[dict[str, Any]]
    type: str = "function_call_output"


class OutputItem(ByType):
    kinds = {
        "message": ResponseOutputMessage,
        "function_call": ResponseFunctionToolCall,
        "reasoning": ResponseReasoningItem,
        "function_call_output": FunctionCallOutput,
        "mcp_approval_request": McpApprovalRequest,
        "mcp_approval_response": McpApprovalResponse,
        "file_search_call": None,
        "computer_call": None,
        "web_search_call": None,
    }


class ResponseInputTextParam(BaseModel):
    text: str
    type: str = "input_text"


class Message(Status):
    """A message of a request: text, or a list of parts."""

    content: str | list[ResponseInputTextParam | dict[str, Any]]
    role: str
    status: str | None = None
    type: str = "message"

    @model_validator(mode="after")
    def _is_a_message(self) -> Self:
        for part in self.content if isinstance(self.content, list) else ():
            if isinstance(part, dict):
                if "type" not in part:
                    raise ValueError("dictionary type content field values must have key 'type'")
                if part["type"] == "input_text":
                    ResponseInputTextParam(**part)
                elif part["type"] not in ("input_image", "input_file"):
                    raise ValueError(f"Invalid type: {part['type']}.")
        if self.role not in ("user", "assistant", "system", "developer"):
            raise ValueError(f"Invalid role: {self.role}. Must be 'user', 'assistant', 'system', or 'developer'.")
        return self


class ResponseError(BaseModel):
    code: str | None = None
    message: str


class IncompleteDetails(BaseModel):
    reason: str | None = None


class ToolChoiceFunction(BaseModel):
    name: str
    type: str = "function"


class FunctionTool(BaseModel):
    name: str
    parameters: dict[str, Any]
    strict: bool | None = None
    type: str = "function"
    description: str | None = None


class Tool(ByType):
    kinds = {"function": FunctionTool}
    others = True


class ReasoningParams(BaseModel):
    effort: str | None = None
    generate_summary: str | None = None


class InputTokensDetails(BaseModel):
    cached_tokens: int


class OutputTokensDetails(BaseModel):
    reasoning_tokens: int


class ResponseUsage(BaseModel):
    input_tokens: int
    input_tokens_details: InputTokensDetails
    output_tokens: int
    output_tokens_details: OutputTokensDetails
    total_tokens: int


class ToolChoice(BaseModel):
    tool_choice: str | ToolChoiceFunction | None = None


class Truncation(BaseModel):
    truncation: str | None = None


class BaseRequestPayload(Truncation, ToolChoice):
    max_output_tokens: int | None = None
    metadata: dict[str, str] | None = None
    parallel_tool_calls: bool | None = None
    tools: list[Tool] | None = None
    reasoning: ReasoningParams | None = None
    store: bool | None = None
    stream: bool | None = None
    temperature: float | None = None
    text: Any | None = None
    top_p: float | None = None
    user: str | None = None
    background: bool | None = None


class Response(Truncation, ToolChoice):
    id: str | None = None
    created_at: float | None = None
    error: ResponseError | None = None
    incomplete_details: IncompleteDetails | None = None
    instructions: str | None = None
    metadata: dict[str, str] | None = None
    model: str | None = None
    object: str = "response"
    output: list[OutputItem]
    parallel_tool_calls: bool | None = None
    temperature: float | None = None
    tools: list[Tool] | None = None
    top_p: float | None = None
    max_output_tokens: int | None = None
    previous_response_id: str | None = None
    reasoning: ReasoningParams | None = None
    status: str | None = None
    text: Any | None = None
    usage: ResponseUsage | None = None
    user: str | None = None

    @property
    def output_text(self) -> str:
        """The texts of all messages, joined."""
        parts = [part for item in self.output if item.type == "message" for part in getattr(item, "content", ())]
        texts = [part if isinstance(part, dict) else part.model_dump() for part in parts]
        return "".join(part["text"] for part in texts if part.get("type") == "output_text")


class ResponseTextDeltaEvent(BaseModel):
    content_index: int | None = None
    delta: str
    item_id: str
    output_index: int | None = None
    type: str = "response.output_text.delta"


class ResponseTextAnnotationDeltaEvent(BaseModel):
    annotation: Annotation
    annotation_index: int
    content_index: int | None = None
    item_id: str
    output_index: int | None = None
    type: str = "response.output_text.annotation.added"


class ResponseOutputItemDoneEvent(BaseModel):
    item: OutputItem
    output_index: int | None = None
    type: str = "response.output_item.done"


class ResponseErrorEvent(BaseModel):
    code: str | None = None
    message: str
    param: str | None = None
    type: str = "error"


class ResponseCompletedEvent(BaseModel):
    response: Response
    type: str = "response.completed"
