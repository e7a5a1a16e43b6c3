"""Chat-shaped models for make_mlflow_packages.py, which pickles them by value."""

# mypy: ignore-errors

from __future__ import annotations

import mlflow
from mlflow.types.agent import ChatAgentMessage, ChatAgentResponse
from mlflow.types.llm import (
    ChatChoice,
    ChatCompletionResponse,
    ChatMessage,
    FunctionToolCallArguments,
    TokenUsageStats,
)
from mlflow.types.responses import ResponsesAgentRequest, ResponsesAgentResponse, ResponsesAgentStreamEvent


class ChatModel(mlflow.pyfunc.ChatModel):
    """Tells what it was asked, with a call of a tool where tools are named."""

    def predict(self, context, messages, params):
        if not messages:
            return {"choices": []}  # no ChatCompletionResponse
        said = " | ".join(f"{m.role} {m.content} {m.tool_calls and m.tool_calls[0].function.name}" for m in messages)
        answer = ChatMessage(role="assistant", content=f"{said} at {params.temperature}, {params.stop}")
        if params.tools:
            call = FunctionToolCallArguments(params.tools[0].function.name, "{}").to_tool_call(id="t1")
            answer = ChatMessage(role="assistant", tool_calls=[call])
        return ChatCompletionResponse(
            choices=[ChatChoice(message=answer), ChatChoice(message={"role": "assistant", "refusal": "no"}, index=1)],
            usage=TokenUsageStats(prompt_tokens=len(messages)),
            created=1,
            custom_outputs=params.custom_inputs,
        )


class ChatAgent(mlflow.pyfunc.ChatAgent):
    """Answers with the class, or with a dict where it is told to; a dict without ids is refused."""

    def predict(self, messages, context=None, custom_inputs=None):
        wants = (custom_inputs or {}).get("wants")
        said = f"{self._convert_messages_to_dict(messages)} from {context.user_id if context else None}"
        if wants:
            return {"messages": [{"role": "assistant", "content": said, **({"id": "1"} if wants == "dict" else {})}]}
        return ChatAgentResponse(messages=[ChatAgentMessage(role="assistant", content=said, id="1")], usage={})


class Responses(mlflow.pyfunc.ResponsesAgent):
    """Pickled with the tracing that MLflow wraps around it. Its answer is what its own stream amounts to."""

    def predict(self, request: ResponsesAgentRequest) -> ResponsesAgentResponse:
        events = [event for event in self.predict_stream(request) if event.type == "response.output_item.done"]
        return ResponsesAgentResponse(output=[event.item for event in events], custom_outputs=request.custom_inputs)

    def predict_stream(self, request):
        asked = self.prep_msgs_for_cc_llm(request.input)
        parts = [{"content": f"{message['role']}: {message['content']} "} for message in asked]
        called = [("f", '{"a"', "c1"), ("", ": 1}", None)]
        parts += [
            {"tool_calls": [{"index": 0, "id": id, "function": {"name": name, "arguments": arguments}}]}
            for name, arguments, id in called
        ]
        chunks = ({"id": "m1", "choices": [{"delta": part}]} for part in parts)
        yield from self.output_to_responses_items_stream(chunks)
        yield ResponsesAgentStreamEvent(type="response.output_item.done", item=self.create_reasoning_item("r1", "why"))
