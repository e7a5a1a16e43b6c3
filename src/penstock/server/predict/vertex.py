"""Predictions as Vertex AI asks them of a container: `instances`, and `parameters` where MLflow says `params`.

Source: Vertex AI, "Custom container requirements for prediction".
"""

from __future__ import annotations

import asyncio

import orjson
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from penstock.errors import InputTooSlow, PenstockError
from penstock.http.bodies import ClientLeft, read_body
from penstock.http.errors import CLOSE
from penstock.http.headers import NAMED, declared_length
from penstock.server.statuses import answer_of
from penstock.serving.batching.admission import InflightHold
from penstock.serving.gateway import Gateway


class VertexPredictions:
    """The endpoint behind AIP_PREDICT_ROUTE: puts a body into MLflow's words, then all is as at /invocations. What it
    reads counts among what the gateway holds; `timeout` is the seconds that a body may take."""

    def __init__(self, invocations: ASGIApp, gateway: Gateway, *, max_body_bytes: int, timeout: float) -> None:
        self._invocations = invocations
        self._gateway = gateway
        self._max_body_bytes = max_body_bytes
        self._timeout = timeout

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            body = _in_our_words(await self._read(scope, receive))
        except ClientLeft:
            return
        except PenstockError as error:
            await answer_of(error, CLOSE).send(send)  # the body is left unread
            return
        left: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

        async def replay() -> Message:
            return left.pop() if left else await receive()

        headers = [pair for pair in scope["headers"] if pair[0] not in (b"content-length", b"transfer-encoding")]
        asked = {**scope, "headers": [*headers, (b"content-length", str(len(body)).encode())], "path_params": {}}
        asked.pop(NAMED, None)
        await self._invocations(asked, replay, send)

    async def _read(self, scope: Scope, receive: Receive) -> bytes:
        """Raises ClientLeft, InputTooLarge, InputTooSlow, Overloaded."""
        self._gateway.admit(None, self._timeout, declared_length(scope))
        hold = InflightHold(self._gateway)
        try:
            async with asyncio.timeout(self._timeout):
                return await read_body(scope, receive, self._max_body_bytes, hold)
        except TimeoutError:
            raise InputTooSlow("The body was not there in time.") from None
        finally:
            hold.release()


def _in_our_words(body: bytes) -> bytes:
    """The same request with `params`; what is no JSON object with `parameters` stays as it is."""
    if b'"parameters"' not in body:
        return body
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        return body
    if not isinstance(document, dict) or "parameters" not in document or "params" in document:
        return body
    parameters = document.pop("parameters")
    return orjson.dumps(document if parameters is None else {**document, "params": parameters})
