"""Bodies that come slowly, or many large ones at once: what the hub holds of them, and whom it refuses."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from hub.conftest import API, HubCalls, until
from penstock.errors import Overloaded
from penstock.hub.bodies.held import LARGE_BYTES, HeldBodies, HeldBody

MB = 1024 * 1024


class Sending:
    """A request whose body comes piece by piece."""

    def __init__(self, hub: HubCalls, path: str, length: int | None, query: bytes = b"") -> None:
        self._pieces: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.sent: list[Any] = []
        headers = [(b"host", b"localhost"), (b"content-type", b"application/json")]
        headers.append((b"transfer-encoding", b"chunked") if length is None else (b"content-length", b"%d" % length))
        scope = {"type": "http", "method": "POST", "path": path, "query_string": query, "headers": headers}

        async def send(message: Any) -> None:
            self.sent.append(message)

        self.task = asyncio.create_task(hub.app(scope, self._pieces.get, send))

    def piece(self, content: bytes, *, more: bool = True) -> None:
        self._pieces.put_nowait({"type": "http.request", "body": content, "more_body": more})

    def leave(self) -> None:
        self._pieces.put_nowait({"type": "http.disconnect"})

    async def answer(self) -> tuple[int, dict[bytes, bytes], dict[str, Any]]:
        await self.task
        body = b"".join(message.get("body", b"") for message in self.sent)
        return self.sent[0]["status"], dict(self.sent[0]["headers"]), json.loads(body)


def rooms_of(hub: HubCalls) -> HeldBodies:
    service: Any = hub.app
    rooms: HeldBodies = service._hub.bodies
    return rooms


def experiment(name: str, size: int) -> bytes:
    start = json.dumps({"name": name, "ignored": ""}).encode()[:-2]
    return start + b"x" * (size - len(start) - 2) + b'"}'


async def test_a_client_that_says_nothing_more_is_answered(hub: HubCalls, monkeypatch: pytest.MonkeyPatch) -> None:
    run_id = await hub.made_run()
    monkeypatch.setattr("penstock.http.bodies.PATIENCE", 0.01)
    asked = [
        Sending(hub, f"{API}experiments/create", 100),
        Sending(hub, f"{API}experiments/create", None),
        Sending(hub, f"{API}experiments/create", 100 * MB),
        Sending(hub, "/ajax-api/2.0/mlflow/upload-artifact", 100, f"run_id={run_id}&path=f".encode()),
        Sending(hub, "/api/2.0/mlflow/registered-models/create", 100),
    ]
    for each in asked:
        each.piece(b'{"')
        status, headers, told = await each.answer()
        assert (status, headers[b"connection"]) == (408, b"close")
        assert told["error_code"] == "REQUEST_LIMIT_EXCEEDED"
        assert told["message"].startswith("Nothing of the body came for")
    assert (rooms_of(hub).small.inflight_limits.bytes, rooms_of(hub).large.inflight_limits.bytes) == (0, 0)


async def test_large_bodies_are_bounded_together_and_keep_nobody_from_logging(
    hub: HubCalls, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("penstock.http.bodies._LINGER_SECONDS", 0.001)
    large = rooms_of(hub).large.inflight_limits
    large.max_bytes = 3 * MB
    first, second = (Sending(hub, f"{API}experiments/create", 2 * MB) for _ in range(2))
    whole = experiment("first", 2 * MB)
    first.piece(whole[:MB])
    await until(lambda: large.bytes == MB)
    second.piece(b" " * MB)
    await until(lambda: large.bytes == 2 * MB)
    third = Sending(hub, f"{API}experiments/create", 2 * MB)  # refused before any of it is read
    second.piece(b" " * (MB + 1))  # refused in the middle
    for each in (third, second):
        status, headers, told = await each.answer()
        assert (status, headers[b"retry-after"], told["error_code"]) == (429, b"2", "REQUEST_LIMIT_EXCEEDED")
        assert told["message"].startswith("The large bodies that the hub is reading hold")
        assert told["message"].endswith("the limit is 3,145,728. Try again in 2 s.")
    assert (await hub.post("experiments/create", name="small")).status_code == 200
    first.piece(whole[MB:], more=False)
    assert (await first.answer())[0] == 200
    assert large.bytes == 0
    assert (await hub.client.post(f"{API}experiments/create", json={"name": "x" * 10, "y": "y" * 4 * MB})).is_success


async def test_whoever_leaves_holds_nothing(hub: HubCalls) -> None:
    large = rooms_of(hub).large.inflight_limits
    asked = Sending(hub, f"{API}experiments/create", 2 * MB)
    asked.piece(b" " * MB)
    await until(lambda: large.bytes == MB)
    asked.leave()
    await asked.task
    assert (asked.sent, large.bytes) == ([], 0)


def test_a_body_of_no_stated_length_is_large_once_it_is() -> None:
    rooms = HeldBodies(small=2 * MB, large=3 * MB)
    others = HeldBody(rooms, 0)
    others.take(LARGE_BYTES - 1)
    growing = HeldBody(rooms, 0)
    growing.take(LARGE_BYTES - 1)
    assert rooms.large.inflight_limits.bytes == 0
    growing.take(MB)
    assert (rooms.small.inflight_limits.bytes, rooms.large.inflight_limits.bytes) == (MB - 1, 2 * MB - 1)
    declared = HeldBody(rooms, 2 * MB)
    with pytest.raises(Overloaded, match="large bodies"):
        declared.take(2 * MB)
    small = HeldBody(rooms, 10)
    small.take(MB - 1)
    with pytest.raises(Overloaded, match="small bodies"):
        HeldBody(rooms, 10).take(10)
    for each in (others, growing, declared, small):
        each.release()
    assert (rooms.small.inflight_limits.bytes, rooms.large.inflight_limits.bytes) == (0, 0)


async def test_a_body_that_is_too_large_is_not_called_rows(hub: HubCalls, monkeypatch: pytest.MonkeyPatch) -> None:
    run_id = await hub.made_run()
    path = f"/ajax-api/2.0/mlflow/upload-artifact?run_id={run_id}&path=f"
    answer = await hub.client.post(path, content=b"x" * (10 * MB + 1))
    assert answer.status_code == 413
    assert answer.json()["message"].endswith(
        "Send it in several requests, and files as artifacts, which may have any size."
    )
