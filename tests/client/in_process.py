"""Clients of a gateway in this process: requests go to the real application, without a socket."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

import penstock
from penstock import testing
from penstock.signature import Signature
from penstock.testing import FakeModel, GatewayClient


@contextmanager
def serving(fakes: dict[str, FakeModel]) -> Iterator[GatewayClient]:
    """A test gateway that reads all bodies itself, and starts no processes for large ones."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("penstock.assembly.gateway.readers_of", lambda *_: None)
        with testing.client(fakes=fakes) as gateway:
            yield gateway


class ToGateway(httpx.BaseTransport):
    """Hands each request to a test gateway; `asked` has their methods and paths, `media` the types of all bodies of
    predictions and of their answers."""

    def __init__(self, gateway: GatewayClient) -> None:
        self._gateway = gateway
        self.asked: list[str] = []
        self.media: set[str] = set()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        path = request.url.raw_path.decode()
        self.asked.append(f"{request.method} {path}")
        headers = {name: value for name, value in request.headers.items() if name != "host"}
        answer = self._gateway.request(request.method, path, body=request.read(), headers=headers)
        if request.method == "POST":
            self.media |= {headers["content-type"], answer.headers["content-type"]}
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
