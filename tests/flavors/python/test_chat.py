"""MLflow's chat classes without MLflow: what their requests and answers are made of."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest
from pydantic import ValidationError

from penstock.flavors.python.chat import chat_shaped
from penstock.flavors.python.mlflow_stubs import MlflowException, PythonModelContext
from penstock.flavors.python.mlflow_stubs.agents import ChatAgentChunk, ChatAgentMessage, ChatAgentResponse
from penstock.flavors.python.mlflow_stubs.chat_completions import ChatUsage, ToolCall
from penstock.flavors.python.mlflow_stubs.chat_models import (
    ChatChoice,
    ChatCompletionRequest,
    ChatCompletionResponse,
    ChatMessage,
    ChatParams,
    FunctionToolDefinition,
    ToolParamsSchema,
)
from penstock.flavors.python.mlflow_stubs.chat_models import (
    ToolCall as ModelToolCall,
)
from penstock.flavors.python.mlflow_stubs.models import ChatAgent, ChatModel, ResponsesAgent
from penstock.flavors.python.mlflow_stubs.responses import (
    ResponsesAgentRequest,
    ResponsesAgentResponse,
    ResponsesAgentStreamEvent,
    create_text_output_item,
    to_chat_completions_input,
)

CONTEXT = PythonModelContext({}, None)
USER = {"role": "user", "content": "hi"}
CALL = {"function": {"name": "f", "arguments": "{}"}, "id": "1"}


class Echo(ChatModel):
    def predict(self, messages: Any, params: Any) -> Any:  # type: ignore[override]
        return ChatCompletionResponse(
            choices=[ChatChoice(message=ChatMessage("assistant", f"{messages[0].content} {params.max_tokens}"))],
            created=1,
        )


class Agent(ChatAgent):
    def predict(self, messages: Any, context: Any = None, custom_inputs: Any = None) -> Any:  # type: ignore[override]
        return {"messages": [{"role": "assistant", "content": messages[0].content, "id": "1"}]}


def called(model: Any) -> Any:
    caller = chat_shaped(model, CONTEXT)
    assert caller is not None
    return caller


@pytest.mark.parametrize(
    "given", [{"messages": [USER], "max_tokens": 3}, pd.DataFrame({"messages": [[USER]], "max_tokens": [3]})]
)
def test_a_request_is_an_object_or_one_row(given: Any) -> None:
    answer = called(Echo()).predict(given)
    assert answer == {
        "choices": [
            {"message": {"role": "assistant", "content": "hi 3"}, "index": 0, "finish_reason": "stop"},
        ],
        "object": "chat.completion",
        "created": 1,
    }  # fmt: skip


def test_anything_else_is_refused() -> None:
    with pytest.raises(MlflowException, match="takes one object, not a list"):
        called(Echo()).predict([USER])


def test_other_models_are_not_chat_shaped() -> None:
    assert chat_shaped(object(), CONTEXT) is None


def test_an_agent_may_be_called_with_the_whole_request() -> None:
    assert Agent().predict({"messages": [USER], "context": {"user_id": "u"}})["messages"][0]["content"] == "hi"
    with pytest.raises(ValidationError):
        Agent().predict({"messages": [{"role": "user"}]})


@pytest.mark.parametrize("answer", [{"messages": [{"role": "assistant", "content": "x"}]}, "text", None])
def test_an_answer_of_another_form_is_refused(answer: Any) -> None:
    class Wrong(ChatAgent):
        def predict(  # type: ignore[override]
            self, messages: Any, context: Any = None, custom_inputs: Any = None
        ) -> Any:
            return answer

    with pytest.raises(MlflowException, match="must answer with a ChatAgentResponse, but gave a") as refused:
        called(Wrong()).predict({"messages": [USER]})
    assert refused.value.error_code == "INTERNAL_ERROR"


def test_base_classes_are_not_models_themselves() -> None:
    kinds: tuple[Any, ...] = (ChatModel, ChatAgent, ResponsesAgent)
    for kind in kinds:
        with pytest.raises(TypeError, match="abstract"):
            kind()


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda: ChatMessage("user"), "`content` is required"),
        (lambda: ChatMessage(None, "x"), "`role` is required"),  # type: ignore[arg-type]
        (lambda: ChatMessage("user", 5), "`content` must be of type str"),  # type: ignore[arg-type]
        (lambda: ChatMessage("user", ["x"]), "`content items` must be of type dict"),  # type: ignore[list-item]
        (lambda: ChatMessage("user", "x", refusal="no"), "cannot be set"),
        (lambda: ChatMessage("user", tool_calls=[{}]), "`tool_calls items` is no ToolCall"),  # type: ignore[list-item]
        (lambda: ChatParams(temperature=1), "`temperature` must be of type float, got int"),
        (lambda: ChatParams(n=None), "`n` is required"),  # type: ignore[arg-type]
        (lambda: ChatParams(stop="x"), "`stop` must be of type list"),  # type: ignore[arg-type]
        (lambda: ChatParams(custom_inputs={1: 2}), "`custom_inputs keys` must be of type str"),  # type: ignore[dict-item]
        (lambda: ToolParamsSchema({"q": {"type": "text"}}), "`type` must be one of"),  # type: ignore[dict-item]
        (lambda: ChatCompletionResponse("x"), "`choices` must be of type list"),  # type: ignore[arg-type]
    ],
)
def test_a_field_of_the_wrong_kind_is_refused(make: Any, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        make()


def test_dicts_become_what_a_field_holds() -> None:
    request = ChatCompletionRequest.from_dict(
        {"messages": [USER, {"role": "assistant", "tool_calls": [CALL]}], "unheard_of": 1, "temperature": 0.5}
    )
    assert request.messages[1].tool_calls == [ModelToolCall.from_dict(CALL)]
    assert request.to_dict() == {
        "temperature": 0.5, "n": 1, "stream": False,
        "messages": [USER, {"role": "assistant", "tool_calls": [{**CALL, "type": "function"}]}],
    }  # fmt: skip
    definition = FunctionToolDefinition("f", parameters={"properties": {"q": {"type": "string"}}})  # type: ignore[arg-type]
    assert definition.to_tool_definition().to_dict()["function"]["parameters"]["properties"] == {
        "q": {"type": "string"}
    }
    assert ChatParams.keys() >= {"max_tokens", "tools"}


def test_fields_that_came_later_are_written_where_they_are_set() -> None:
    assert list(ToolCall(**CALL).model_dump()) == ["id", "type", "function"]
    assert ToolCall(**CALL, thought_signature="s").model_dump()["thought_signature"] == "s"
    assert list(ChatUsage(prompt_tokens=1, more=2).model_dump()) == [
        "prompt_tokens", "completion_tokens", "total_tokens", "more",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("messages", "why"),
    [
        ([{"role": "assistant", "content": "x"}], "must have an ID"),
        ([{"role": "assistant", "content": "x", "id": "1"}] * 2, "each another one"),
        ([{"role": "tool", "content": "x", "id": "1"}], "tool messages"),
        ([{"role": "assistant", "id": "1"}], "'content' or 'tool_calls'"),
    ],
)
def test_malformed_messages_of_an_agents_answer_are_refused(messages: Any, why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        ChatAgentResponse(messages=messages)


def test_a_chunk_has_an_id() -> None:
    with pytest.raises(ValidationError, match="must have an ID"):
        ChatAgentChunk(delta=ChatAgentMessage(role="assistant", content="x"))


@pytest.mark.parametrize(
    ("item", "why"),
    [
        ({"role": "nobody", "content": "x"}, "Invalid role: nobody"),
        ({"role": "user", "content": [{"image": "x"}]}, "must have key 'type'"),
        ({"role": "user", "content": [{"type": "video"}]}, "Invalid type: video"),
        ({"type": "telepathy"}, "Invalid type: telepathy for OutputItem"),
        ({"type": "reasoning", "id": "r"}, "summary"),
        ({"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}", "status": "odd"}, "Invalid status"),
    ],
)
def test_items_of_a_request_are_checked_by_their_type(item: Any, why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        ResponsesAgentRequest(input=[item])


@pytest.mark.parametrize(
    ("item", "why"),
    [
        ({"type": "message", "id": "m", "content": []}, "empty list"),
        (
            {"type": "message", "id": "m", "content": [{"type": "refusal", "refusal": "no"}], "role": "user"},
            "Invalid role",
        ),
        ({"type": "message", "id": "m", "content": [{"type": "poem"}]}, "Invalid type: poem for Content"),
        ({"type": "message", "id": "m", "content": "text"}, "list"),
    ],
)
def test_items_of_an_answer_are_checked_by_their_type(item: Any, why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        ResponsesAgentResponse(output=[item])


def test_items_keep_the_fields_that_nobody_knows() -> None:
    item = {"type": "web_search_call", "query": "q"}
    assert ResponsesAgentRequest(input=[item]).model_dump(exclude_none=True)["input"] == [item]
    assert ResponsesAgentStreamEvent(type="response.created", response={"id": "1"}).model_dump()["response"] == {
        "id": "1"
    }
    with pytest.raises(ValidationError):
        ResponsesAgentStreamEvent(type="response.output_item.done", item={"type": "message"})


def test_the_text_of_an_answer_is_that_of_its_items_joined() -> None:
    items: Any = [create_text_output_item("a", "1"), create_text_output_item("b", "2")]
    assert ResponsesAgentResponse(output=items).output_text == "ab"


def test_a_request_becomes_the_messages_of_a_chat_completion() -> None:
    items = [
        {"role": "user", "content": "hi"},
        {"type": "message", "role": "assistant", "content": [{"text": "a"}, {"text": "b"}]},
        {"type": "function_call", "call_id": "c", "name": "f", "arguments": ""},
        {"type": "function_call_output", "call_id": "c", "output": [1]},
        {"type": "reasoning", "summary": []},
        {"type": "mcp_approval_response", "approval_request_id": "q", "approve": True},
        {"unknown": 1},
    ]
    calls = [{"id": "c", "type": "function", "function": {"arguments": "{}", "name": "f"}}]
    assert to_chat_completions_input(items) == [
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": "a"},
        {"role": "assistant", "content": "b"},
        {"role": "assistant", "content": "tool call", "tool_calls": calls},
        {"role": "tool", "content": "[1]", "tool_call_id": "c"},
        {"role": "assistant", "content": "[]"},
        {"role": "tool", "content": "True", "tool_call_id": "q"},
    ]
