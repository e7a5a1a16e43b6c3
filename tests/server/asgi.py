"""The application in process: a gateway of fake or real models, and one request spoken to it message by message."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from threading import Event
from typing import Any
from urllib.parse import unquote

import httpx

from penstock.metrics import Metrics
from penstock.payload import Payload
from penstock.server.app import make_app
from penstock.serving.gateway import Gateway
from penstock.serving.servable import Servable, ServingOptions
from penstock.serving.served_model import ServedModel
from serving.fakes import FakePredictor, loaded


class Bench:
    """A gateway behind its application, with a client."""

    def __init__(self, package: Path, *, default: str | None = None, **app: Any) -> None:
        self.package = package
        self.metrics = Metrics(process=False)
        self.models: dict[str, ServedModel] = {}
        self._default = default
        self._options = app

    def serve(
        self,
        name: str = "m",
        predictor: FakePredictor | None = None,
        *,
        version: str = "1",
        package: Path | None = None,
        unjoined: str = "",
        **options: Any,
    ) -> Servable:
        """Adds a version of a model; the last one answers."""
        model = self.models.setdefault(name, ServedModel(name, self.metrics))
        made = loaded(package or self.package, predictor, unjoined=unjoined)
        servable = Servable(name, version, made, self.metrics, ServingOptions(**options))
        model.swap(servable)
        return servable

    def expect(self, name: str) -> None:
        """Adds a model that is not loaded yet."""
        self.models[name] = ServedModel(name, self.metrics)

    def open(self) -> httpx.AsyncClient:
        self.gateway = Gateway(list(self.models.values()), self.metrics, default=self._default)
        self.app = make_app(self.gateway, **self._options)
        return httpx.AsyncClient(transport=httpx.ASGITransport(self.app), base_url="http://test")

    def count(self, outcome: str, *, model: str = "m", version: str = "1") -> float:
        labels = {"model": model, "version": version, "protocol": "invocations", "outcome": outcome}
        return self.metrics.registry.get_sample_value("penstock_requests_total", labels) or 0

    async def close(self) -> None:
        await self.gateway.close()
        self.app.close()


class Exchange:
    """One request to an ASGI application, whose messages the test sends itself."""

    def __init__(
        self, app: Any, *, path: str = "/invocations", headers: Mapping[str, str] | None = None,
        method: str = "POST",
    ) -> None:  # fmt: skip
        scope = {
            "type": "http", "http_version": "1.1", "method": method, "scheme": "http", "path": unquote(path),
            "raw_path": path.encode(), "query_string": b"", "root_path": "", "server": ("test", 80),
            "client": ("127.0.0.1", 1),
            "headers": [(k.lower().encode(), v.encode()) for k, v in (headers or {}).items()],
        }  # fmt: skip
        self.incoming: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.sent: list[dict[str, Any]] = []
        self.received = 0
        self.task = asyncio.create_task(app(scope, self._receive, self._send))

    async def _receive(self) -> dict[str, Any]:
        message = await self.incoming.get()
        self.received += 1
        return message

    async def _send(self, message: Any) -> None:
        self.sent.append(dict(message))

    def body(self, content: bytes, *, more: bool = False) -> None:
        self.incoming.put_nowait({"type": "http.request", "body": content, "more_body": more})

    def leave(self) -> None:
        self.incoming.put_nowait({"type": "http.disconnect"})

    async def status(self) -> int | None:
        """The status, once all is over; None where nothing was answered."""
        await asyncio.wait_for(self.task, 10)
        return self.sent[0]["status"] if self.sent else None


class Held(FakePredictor):
    """Works until released."""

    def __init__(self) -> None:
        super().__init__(self._wait)
        self.calls: list[Payload] = []
        self.free = Event()

    def _wait(self, payload: Payload, params: Mapping[str, Any]) -> Payload:
        self.calls.append(payload)
        assert self.free.wait(30)
        return payload


def raising(error: BaseException) -> FakePredictor:
    def function(payload: Payload, params: Mapping[str, Any]) -> Payload:
        raise error

    return FakePredictor(function)


def answering(payload: Payload) -> FakePredictor:
    return FakePredictor(lambda _, __: payload)


def is_error(answer: httpx.Response, status: int, code: str) -> str:
    assert (answer.status_code, answer.json()["error_code"]) == (status, code), answer.text
    assert answer.headers["content-type"] == "application/json"
    assert answer.json().keys() - {"violations"} == {"error_code", "message"}
    assert "Traceback" not in answer.text
    assert ".py" not in answer.text
    return str(answer.json()["message"])
