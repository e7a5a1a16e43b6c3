"""The methods of a client that waits, over whatever carries a request: a connection, or an application itself."""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, TypeVar

from penstock.client.answers import Prediction
from penstock.client.calls import Line
from penstock.client.conversation import Conversation
from penstock.client.descriptions import GatewayHealth, ModelDescription, ModelSummary
from penstock.client.exchange import Ask, InTurn, Outcome, Pause, Steps

T = TypeVar("T")


class BlockingCalls(ABC):
    """What one gateway is asked, with the answers and errors that callers of `penstock.Client` know."""

    def __init__(self, line: Line) -> None:
        self._conversation = Conversation(line)
        # The whole mutable state, beside the conversation's: locks by what is done in turn.
        self._locks: dict[str, threading.Lock] = {}

    def predict(
        self,
        data: Any,
        params: Mapping[str, Any] | None = None,
        *,
        model: str | None = None,
        timeout: float | None = None,
        request_id: str | None = None,
    ) -> Any:
        """The model's answer to `data`, in a container of the same kind.

        | `data` | answer |
        |---|---|
        | pandas.DataFrame (rows, columns) or Series (rows,) | a DataFrame with the same row labels where the model answers with columns, else an array (rows,) or (rows, outputs), or a dict of arrays by output name |
        | numpy.ndarray (rows, …) or a dict of arrays (rows, …) | an array, or a dict of arrays by output name |
        | dict of lists: columns or tensors by name | the same |
        | list of dicts: one record a row; list of lists or values | a list, one item a row |
        | one dict without lists: a single record | its answer alone |
        | Table, Tensors, Value | a Table, Tensors or Value |

        `model` is the name that the server has for it, its default model where it is None; `timeout` counts for this
        call. `request_id` is what the server's log has the request under, made up where it is None.

        Raises RequestRefused, with the cells that do not fit as `violations`; GatewayBusy, GatewayTimeout,
        GatewayUnreachable, GatewayDenied, ModelUnknown, GatewayFault; MalformedInput for data that has no form.

            >>> client.predict([{"a": 1.0, "b": 2.0}, {"a": 3.0, "b": 4.0}], model="sum", params={"offset": 1.0})
            [4.0, 8.0]
        """  # noqa: E501  (a table's row is one line)
        return self.prediction(data, params, model=model, timeout=timeout, request_id=request_id).value

    def prediction(
        self,
        data: Any,
        params: Mapping[str, Any] | None = None,
        *,
        model: str | None = None,
        timeout: float | None = None,
        request_id: str | None = None,
    ) -> Prediction:
        """The same with what came beside it: the version that answered, the request's id, the server's timing."""
        steps = self._conversation.predict(data, params, model=model, timeout=timeout, request_id=request_id)
        return self._carry_out(steps)

    def health(self) -> GatewayHealth:
        """Whether the gateway answers for all of its models. Raises GatewayError where it does not answer at all."""
        return self._carry_out(self._conversation.health())

    def models(self) -> list[ModelSummary]:
        """The models that are served. A gateway with an admin port lists them there alone. Raises GatewayError."""
        return self._carry_out(self._conversation.models())

    def describe(self, model: str | None = None) -> ModelDescription:
        """The version of a model that answers now, with its signature. Raises GatewayError."""
        return self._carry_out(self._conversation.describe(model))

    def wait_until_ready(self, model: str | None = None, timeout: float = 60.0) -> None:
        """Returns when the gateway is ready, or when this model is loaded there. Raises GatewayBusy or
        GatewayUnreachable when that takes longer than `timeout` seconds, and what waiting does not change at once."""
        self._carry_out(self._conversation.wait_until_ready(model, timeout))

    def _carry_out(self, steps: Steps[T]) -> T:
        outcome: Outcome | None = None
        while True:
            try:
                step = steps.send(outcome)
            except StopIteration as end:
                return end.value  # type: ignore[no-any-return]
            outcome = None
            if isinstance(step, Ask):
                outcome = self._send(step)
            elif isinstance(step, Pause):
                time.sleep(step.seconds)
            else:
                self._carry_out_in_turn(step)

    def _carry_out_in_turn(self, step: InTurn) -> None:
        lock = self._locks.setdefault(step.key, threading.Lock())
        held = lock.acquire(timeout=max(step.seconds, 0.0))
        try:
            self._carry_out(step.steps)
        finally:
            if held:
                lock.release()

    @abstractmethod
    def _send(self, question: Ask) -> Outcome:
        """What one request comes to. Raises Closing."""
