"""`penstock.AsyncClient`: asks a gateway from an event loop, asyncio's or trio's."""

from __future__ import annotations

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
    import anyio
    import httpx

T = TypeVar("T")


class AsyncClient:
    """`penstock.Client` for event loops: the same methods, to be awaited, with the same arguments, answers and errors.
    `http_client` is an httpx.AsyncClient here.

        async with penstock.AsyncClient("http://localhost:8080") as client:
            scores = await client.predict(frame)
    """

    def __init__(
        self,
        url: str,
        *,
        token: str | None = None,
        timeout: float = 60.0,
        retries: int = 5,
        repeat_lost: bool = True,
        http_client: httpx.AsyncClient | None = None,
    ) -> None:
        need_httpx()
        import httpx

        line = Line(url, token, timeout=timeout, retries=retries, repeat=repeat_lost)
        self._conversation = Conversation(line)
        self._owned = None if http_client is not None else httpx.AsyncClient(limits=keep_alive_limits())
        self._http = http_client or self._owned
        # The whole mutable state, beside the conversation's: locks by what is done in turn.
        self._locks: dict[str, anyio.Lock] = {}

    async def predict(
        self,
        data: Any,
        params: Mapping[str, Any] | None = None,
        *,
        model: str | None = None,
        timeout: float | None = None,
        request_id: str | None = None,
    ) -> Any:
        """As `Client.predict`."""
        made = await self.prediction(data, params, model=model, timeout=timeout, request_id=request_id)
        return made.value

    async def prediction(
        self,
        data: Any,
        params: Mapping[str, Any] | None = None,
        *,
        model: str | None = None,
        timeout: float | None = None,
        request_id: str | None = None,
    ) -> Prediction:
        """As `Client.prediction`."""
        steps = self._conversation.predict(data, params, model=model, timeout=timeout, request_id=request_id)
        return await self._carry_out(steps)

    async def health(self) -> GatewayHealth:
        """As `Client.health`."""
        return await self._carry_out(self._conversation.health())

    async def models(self) -> list[ModelSummary]:
        """As `Client.models`."""
        return await self._carry_out(self._conversation.models())

    async def describe(self, model: str | None = None) -> ModelDescription:
        """As `Client.describe`."""
        return await self._carry_out(self._conversation.describe(model))

    async def wait_until_ready(self, model: str | None = None, timeout: float = 60.0) -> None:
        """As `Client.wait_until_ready`."""
        await self._carry_out(self._conversation.wait_until_ready(model, timeout))

    async def aclose(self) -> None:
        """Closes the connections; may be called again."""
        if self._owned is not None:
            await self._owned.aclose()
        self._http = None

    async def _carry_out(self, steps: Steps[T]) -> T:
        import anyio

        outcome: Outcome | None = None
        while True:
            try:
                step = steps.send(outcome)
            except StopIteration as end:
                return end.value  # type: ignore[no-any-return]
            outcome = None
            if isinstance(step, Ask):
                outcome = await self._send(step)
            elif isinstance(step, Pause):
                await anyio.sleep(step.seconds)
            else:
                await self._carry_out_in_turn(step)

    async def _carry_out_in_turn(self, step: InTurn) -> None:
        import anyio

        lock = self._locks.setdefault(step.key, anyio.Lock())
        held = False
        with anyio.move_on_after(step.seconds):
            await lock.acquire()
            held = True
        try:
            await self._carry_out(step.steps)
        finally:
            if held:
                lock.release()

    async def _send(self, question: Ask) -> Outcome:
        import anyio
        import httpx

        if self._http is None:
            raise Closing("The client is closed.", hint="Make another one, or ask inside its async with statement.")
        url = self._conversation.line.url + question.path
        told: dict[str, Any] = {"headers": question.headers, "content": question.body, "timeout": timeouts(question)}
        with anyio.move_on_after(question.seconds):
            try:
                response = await self._http.request(question.method, url, **told)
                return GatewayReply(response.status_code, response.headers, response.content)
            except httpx.RequestError as error:
                return lost(error)
        return Lost("its answer takes too long", sent=True, late=True)

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        line = self._conversation.line
        state = ", closed" if self._http is None else ""
        return f"<AsyncClient of {line.url}, {line.sent} requests, {line.retried} of them again{state}>"
