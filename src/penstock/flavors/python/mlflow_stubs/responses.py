"""mlflow.types.responses: what MLflow's ResponsesAgent takes and gives, and what makes the items of an answer."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any, ClassVar

from pydantic import BaseModel

from penstock.flavors.python.mlflow_stubs.agents import ChatContext
from penstock.flavors.python.mlflow_stubs.responses_items import (
    BaseRequestPayload,
    ByType,
    Message,
    OutputItem,
    Response,
    ResponseCompletedEvent,
    ResponseErrorEvent,
    ResponseOutputItemDoneEvent,
    ResponseTextAnnotationDeltaEvent,
    ResponseTextDeltaEvent,
)

__all__ = [
    "Message",
    "OutputItem",
    "Response",
    "ResponsesAgentRequest",
    "ResponsesAgentResponse",
    "ResponsesAgentStreamEvent",
    "create_annotation_added",
    "create_function_call_item",
    "create_function_call_output_item",
    "create_mcp_approval_request_item",
    "create_mcp_approval_response_item",
    "create_reasoning_item",
    "create_text_delta",
    "create_text_output_item",
    "output_to_responses_items_stream",
    "responses_agent_output_reducer",
    "responses_to_cc",
    "to_chat_completions_input",
]

Item = dict[str, Any]
DONE = "response.output_item.done"


class ResponsesAgentRequest(BaseRequestPayload):
    input: list[Message | OutputItem]
    custom_inputs: dict[str, Any] | None = None
    context: ChatContext | None = None


class ResponsesAgentResponse(Response):
    custom_outputs: dict[str, Any] | None = None


class ResponsesAgentStreamEvent(ByType):
    kinds: ClassVar = {
        DONE: ResponseOutputItemDoneEvent,
        "response.output_text.delta": ResponseTextDeltaEvent,
        "response.output_text.annotation.added": ResponseTextAnnotationDeltaEvent,
        "error": ResponseErrorEvent,
        "response.completed": ResponseCompletedEvent,
    }
    others = True

    custom_outputs: dict[str, Any] | None = None


def responses_agent_output_reducer(chunks: Iterable[Any]) -> Item:
    """The whole answer that a stream of events amounts to."""
    events = [chunk if isinstance(chunk, dict) else chunk.model_dump() for chunk in chunks]
    done = [event.get("item") for event in events if event.get("type") == DONE]
    return ResponsesAgentResponse.model_validate({"output": done}).model_dump(exclude_none=True)


def create_text_delta(delta: str, item_id: str) -> Item:
    return {"type": "response.output_text.delta", "item_id": item_id, "delta": delta}


def create_annotation_added(item_id: str, annotation: Item, annotation_index: int | None = 0) -> Item:
    return {
        "type": "response.output_text.annotation.added",
        "item_id": item_id,
        "annotation_index": annotation_index,
        "annotation": annotation,
    }


def create_text_output_item(text: str, id: str, annotations: list[Item] | None = None) -> Item:
    content = {"text": text, "type": "output_text", "annotations": annotations or []}
    return {"id": id, "content": [content], "role": "assistant", "type": "message"}


def create_reasoning_item(id: str, reasoning_text: str) -> Item:
    return {"type": "reasoning", "summary": [{"type": "summary_text", "text": reasoning_text}], "id": id}


def create_function_call_item(id: str, call_id: str, name: str, arguments: str) -> Item:
    return {"type": "function_call", "id": id, "call_id": call_id, "name": name, "arguments": arguments}


def create_function_call_output_item(call_id: str, output: str) -> Item:
    return {"type": "function_call_output", "call_id": call_id, "output": output}


def create_mcp_approval_request_item(id: str, arguments: str, name: str, server_label: str) -> Item:
    return {
        "type": "mcp_approval_request",
        "id": id,
        "arguments": arguments,
        "name": name,
        "server_label": server_label,
    }


def create_mcp_approval_response_item(
    id: str, approval_request_id: str, approve: bool, reason: str | None = None
) -> Item:
    return {
        "type": "mcp_approval_response",
        "id": id,
        "approval_request_id": approval_request_id,
        "approve": approve,
        "reason": reason,
    }


def to_chat_completions_input(responses_input: Iterable[Any]) -> list[Item]:
    """The messages of a chat completion that say the same as the items of a request."""
    items = [item.model_dump() if isinstance(item, BaseModel) else item for item in responses_input]
    return [message for item in items for message in responses_to_cc(item)]


def responses_to_cc(message: Item) -> list[Item]:
    match message.get("type"):
        case "function_call":
            return [_calling("tool call", message["call_id"], message)]
        case "mcp_approval_request":
            return [_calling("mcp approval request", message["id"], message)]
        case "message" if isinstance(message.get("content"), list):
            return [{"role": message["role"], "content": part["text"]} for part in message["content"]]
        case "reasoning":
            return [{"role": "assistant", "content": json.dumps(message["summary"])}]
        case "function_call_output":
            return [{"role": "tool", "content": _as_text(message["output"]), "tool_call_id": message["call_id"]}]
        case "mcp_approval_response":
            asked = message["approval_request_id"]
            return [{"role": "tool", "content": str(message["approve"]), "tool_call_id": asked}]
    known = ("role", "content", "name", "tool_calls", "tool_call_id")
    kept = {key: value for key, value in message.items() if key in known}
    return [kept] if kept else []


def _calling(content: str, id: str, message: Item) -> Item:
    function = {"arguments": message.get("arguments") or "{}", "name": message["name"]}
    calls = [{"id": id, "type": "function", "function": function}]
    return {"role": "assistant", "content": content, "tool_calls": calls}


def _as_text(value: Any) -> str:
    if isinstance(value, str):
        return value
    try:
        return json.dumps(value)
    except (TypeError, ValueError):
        return str(value)


def output_to_responses_items_stream(
    chunks: Iterable[Item], aggregator: list[Item] | None = None
) -> Iterator[ResponsesAgentStreamEvent]:
    """Events for the chunks of a streamed chat completion: its text as it comes, then the whole items."""
    message_id: Any = None
    text = ""
    calls: dict[int, Item] = {}
    for chunk in chunks:
        if not chunk.get("choices"):
            continue
        delta, message_id = chunk["choices"][0]["delta"], chunk.get("id")
        if called := delta.get("tool_calls"):
            for part in called:
                _add_call(calls, part)
        elif isinstance(content := delta.get("content"), str):
            text += content
            yield ResponsesAgentStreamEvent(**create_text_delta(content, message_id))
    items = [create_text_output_item(text, message_id)] if text else []
    items += [
        create_function_call_item(message_id, call["id"], call["name"], call["arguments"])
        for _, call in sorted(calls.items())
    ]
    for item in items:
        if aggregator is not None:
            aggregator.append(item)
        yield ResponsesAgentStreamEvent.model_validate({"type": DONE, "item": item})


def _add_call(calls: dict[int, Item], part: Item) -> None:
    """The first part of a call has its id and name; the later ones go on with its arguments."""
    function = part.get("function", {})
    call = calls.setdefault(
        part.get("index", 0), {"id": part.get("id"), "name": function.get("name", ""), "arguments": ""}
    )
    call["arguments"] += function.get("arguments", "")
