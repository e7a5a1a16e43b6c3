"""`penstock.Client`: asks a gateway, and waits."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

from penstock.client.answers import Prediction
from penstock.client.calls import Line
from penstock.client.conversation import Conversation
from penstock.client.descriptions import GatewayHealth, ModelDescription, ModelSummary
from penstock.client.exchange import Ask, GatewayReply, InTurn, Lost, Outcome, Pause, Steps
from penstock.client.http import keep_alive_limits, lost, need_httpx, timeouts
from penstock.errors import Closing

if TYPE_CHECKING:
    import httpx

T = TypeVar("T")


class Client:
    """Asks a gateway for predictions. Connections are kept; threads may share one client; `with` closes it.

        with penstock.Client("http://localhost:8080") as client:
            frame["score"] = client.predict(frame)

    `token` is the server's. `timeout` is the seconds that a call may take, tries and all; the server is told, and drops
    what would be late. `retries` is how many more tries there are after the first, where the server is busy, loads or
    cannot be reached. A prediction changes nothing, so that a request is sent again also where its connection was lost
    and it may have been executed; with `repeat_lost=False` that is an error. `http_client` is an httpx.Client of your
    own, for certificates, proxies and tests; it is not closed with this one.

    Raises ConfigError for what these cannot be, and DependencyMissing where httpx is not installed.
    """

    def __init__(
        self,
        url: str,
        *,
        token: str | None = None,
        timeout: float = 60.0,
        retries: int = 5,
        repeat_lost: bool = True,
        http_client: httpx.Client | None = None,
    ) -> None:
        need_httpx()
        import httpx

        line = Line(url, token, timeout=timeout, retries=retries, repeat=repeat_lost)
        self._conversation = Conversation(line)
        self._owned = None if http_client is not None else httpx.Client(limits=keep_alive_limits())
        self._http = http_client or self._owned
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

    def close(self) -> None:
        """Closes the connections; may be called again."""
        if self._owned is not None:
            self._owned.close()
        self._http = None

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

    def _send(self, question: Ask) -> Outcome:
        import httpx

        if self._http is None:
            raise Closing("The client is closed.", hint="Make another one, or ask inside its with statement.")
        until, url = time.monotonic() + question.seconds, self._conversation.line.url + question.path
        told: dict[str, Any] = {"headers": question.headers, "content": question.body, "timeout": timeouts(question)}
        try:
            with self._http.stream(question.method, url, **told) as response:
                parts = []
                for part in response.iter_bytes():
                    parts.append(part)
                    if time.monotonic() > until:  # httpx bounds the time of each part alone
                        return Lost("its answer takes too long", sent=True, late=True)
                return GatewayReply(response.status_code, response.headers, b"".join(parts))
        except httpx.RequestError as error:
            return lost(error, late=time.monotonic() >= until)

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        line = self._conversation.line
        state = ", closed" if self._http is None else ""
        return f"<Client of {line.url}, {line.sent} requests, {line.retried} of them again{state}>"
