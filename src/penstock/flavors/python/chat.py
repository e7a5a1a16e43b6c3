"""Calls MLflow's ChatModel, ChatAgent and ResponsesAgent: a request becomes the objects they take, and what they answer
plain values.

Source: how `mlflow models serve` calls them, 2.11 to 3.x. Requests come as one row of a table, whose columns are the
signature's, or as the object itself. What their models are made of is in `standins`.
"""

from __future__ import annotations

import inspect
import sys
from abc import ABC, abstractmethod
from typing import Any

import numpy as np

from penstock.flavors.python.mlflow_stubs.exceptions import MlflowException
from penstock.flavors.python.mlflow_stubs.models import ChatAgent, ChatModel, PythonModelContext, ResponsesAgent


def chat_shaped(model: Any, context: PythonModelContext) -> ChatShaped | None:
    """What calls this model, if it is of one of MLflow's classes for chats."""
    found = next((caller for kind, caller in _CALLERS.items() if isinstance(model, kind)), None)
    return None if found is None else found(model, context)


class ChatShaped(ABC):
    def __init__(self, model: Any, context: PythonModelContext) -> None:
        self.model = model
        self._context = context

    def predict(self, model_input: Any) -> dict[str, Any]:
        """Raises MlflowException where the answer is none, and whatever the model raises or its objects refuse."""
        return self._call(_as_request(model_input))

    @abstractmethod
    def _call(self, request: dict[str, Any]) -> dict[str, Any]: ...


class _ChatModel(ChatShaped):
    def _call(self, request: dict[str, Any]) -> dict[str, Any]:
        from penstock.flavors.python.mlflow_stubs.chat_models import ChatCompletionResponse, ChatMessage, ChatParams

        messages = [ChatMessage.from_dict(message) for message in request.get("messages", [])]
        params = ChatParams.from_dict(request)
        parameters = inspect.signature(self.model.predict).parameters
        with_context = "context" in parameters or len(parameters) == 3
        arguments = (self._context, messages, params) if with_context else (messages, params)
        answer = self.model.predict(*arguments)
        if not isinstance(answer, ChatCompletionResponse):
            raise _refused(answer, ChatCompletionResponse)
        return answer.to_dict()


class _ChatAgent(ChatShaped):
    def _call(self, request: dict[str, Any]) -> dict[str, Any]:
        from penstock.flavors.python.mlflow_stubs.agents import ChatAgentMessage, ChatAgentResponse, ChatContext

        messages = [ChatAgentMessage(**message) for message in request.get("messages", [])]
        context = ChatContext(**request["context"]) if "context" in request else None
        return _plain(self.model.predict(messages, context, request.get("custom_inputs")), ChatAgentResponse)


class _ResponsesAgent(ChatShaped):
    def _call(self, request: dict[str, Any]) -> dict[str, Any]:
        from penstock.flavors.python.mlflow_stubs.responses import ResponsesAgentRequest, ResponsesAgentResponse

        return _plain(self.model.predict(ResponsesAgentRequest(**request)), ResponsesAgentResponse)


_CALLERS: dict[type, type[ChatShaped]] = {
    ChatModel: _ChatModel,
    ChatAgent: _ChatAgent,
    ResponsesAgent: _ResponsesAgent,
}


def _plain(answer: Any, kind: Any) -> dict[str, Any]:
    """An answer without what is not set; a dict is checked and left as it is."""
    from pydantic import ValidationError

    if isinstance(answer, kind):
        return answer.model_dump(exclude_none=True)  # type: ignore[no-any-return]
    try:
        kind.model_validate(answer, strict=True)
    except ValidationError as error:
        raise _refused(answer, kind) from error
    return answer  # type: ignore[no-any-return]


def _refused(answer: Any, kind: type) -> MlflowException:
    return MlflowException(f"The model must answer with a {kind.__name__}, but gave a {type(answer).__name__}.")


def _as_request(given: Any) -> dict[str, Any]:
    """The first row of a frame, or the object itself. Raises MlflowException."""
    pandas = sys.modules.get("pandas")
    if isinstance(given, dict):
        return dict(given)
    if pandas is not None and isinstance(given, pandas.DataFrame):
        return {name: _without_numpy(cells[0]) for name, cells in given.to_dict(orient="list").items()}
    raise MlflowException(f"The model takes one object, not a {type(given).__name__}.")


def _without_numpy(value: Any) -> Any:
    if isinstance(value, (np.ndarray, np.generic)):
        return value.tolist()
    if isinstance(value, list):
        return [_without_numpy(item) for item in value]
    if isinstance(value, dict):
        return {key: _without_numpy(item) for key, item in value.items()}
    return value
