"""One request to an application in process."""

from __future__ import annotations

import asyncio

from starlette.types import Receive, Scope, Send

from penstock.testing.asgi import call


async def test_the_client_stays_until_it_is_answered() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        assert (await receive())["body"] == b"rows"
        leaving = asyncio.ensure_future(receive())
        for _ in range(3):
            await asyncio.sleep(0)
        assert not leaving.done(), "a model may take its time"
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": b"an", "more_body": True})
        await send({"type": "http.response.body", "body": b"swer"})
        assert (await leaving)["type"] == "http.disconnect"

    answer = await call(app, "POST", "/", {}, b"rows")
    assert (answer.status, answer.body) == (200, b"answer")
