"""Clients of a gateway in this process: requests go to the real application, without a socket."""

from __future__ import annotations

from typing import Any

import httpx

import penstock
from penstock.signature import Signature
from penstock.testing import FakeModel, GatewayClient


class ToGateway(httpx.BaseTransport):
    """Hands each request to a test gateway; `asked` has their methods and paths."""

    def __init__(self, gateway: GatewayClient) -> None:
        self._gateway = gateway
        self.asked: list[str] = []

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        path = request.url.raw_path.decode()
        self.asked.append(f"{request.method} {path}")
        headers = {name: value for name, value in request.headers.items() if name != "host"}
        answer = self._gateway.request(request.method, path, body=request.read(), headers=headers)
        return httpx.Response(answer.status, headers=dict(answer.headers), content=answer.body)


def client_of(transport: httpx.BaseTransport, **options: Any) -> penstock.Client:
    return penstock.Client("http://gateway", http_client=httpx.Client(transport=transport), **options)


def echo(inputs: list[dict[str, Any]] | None, outputs: list[dict[str, Any]] | None = None) -> FakeModel:
    """A model that answers with its input; its outputs are those of the inputs, unless others are given."""
    sides = {"inputs": inputs, "outputs": inputs if outputs is None else outputs}
    return FakeModel(lambda data, params: data, Signature.from_mlflow(sides) if inputs is not None else None)


def columns(*types: str) -> list[dict[str, Any]]:
    """Optional columns `a`, `b` … of these types."""
    return [{"name": chr(97 + i), "type": type_, "required": False} for i, type_ in enumerate(types)]


def tensor(dtype: str, *shape: int, name: str | None = None) -> dict[str, Any]:
    named = {} if name is None else {"name": name}
    return {**named, "type": "tensor", "tensor-spec": {"dtype": dtype, "shape": list(shape)}}
