"""Predictions as Vertex AI asks them of a container: `instances`, and `parameters` where MLflow says `params`.

Source: Vertex AI, "Custom container requirements for prediction".
"""

from __future__ import annotations

import asyncio

import orjson
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from penstock.errors import InputTooSlow, Overloaded, PenstockError
from penstock.http.bodies import NAMED, ClientLeft, InflightHold, declared_length, read_body
from penstock.server.statuses import body_of, status_of
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
            await _refuse(send, error)
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


async def _refuse(send: Send, error: PenstockError) -> None:
    status = status_of(error)
    content = body_of(error, status)
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(content)).encode()),
        (b"connection", b"close"),  # the body is left unread
    ]
    if isinstance(error, Overloaded):
        headers.append((b"retry-after", str(error.retry_after).encode()))
    await send({"type": "http.response.start", "status": status.http, "headers": headers})
    await send({"type": "http.response.body", "body": content})


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
