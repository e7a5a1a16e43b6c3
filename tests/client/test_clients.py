"""Both clients over real sockets and over the real application: tries, deadlines, connections, and their end."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

import penstock
from penstock.client import http
from penstock.errors import (
    Closing,
    DependencyMissing,
    GatewayBusy,
    GatewayDenied,
    GatewayTimeout,
    GatewayUnreachable,
    RequestRefused,
)
from server.asgi import Bench, Held

Answer = tuple[int, dict[str, str], bytes]
PREDICTED: Answer = (200, {}, b'{"predictions": [1]}')
BUSY: Answer = (503, {"Retry-After": "0"}, b'{"error_code": "TEMPORARILY_UNAVAILABLE", "message": "Later."}')


class Scene:
    """A server that gives these answers to POSTs, the last one over and over; None closes the connection instead. It
    knows no signatures. `connections` counts those that were opened, `timeouts` has what callers said."""

    def __init__(self, *answers: Answer | None) -> None:
        self.answers = list(answers)
        self.connections = 0
        self.timeouts: list[float] = []
        self.url = ""

    def next(self) -> Answer | None:
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


@contextmanager
def serving(scene: Scene, port: int = 0) -> Iterator[Scene]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def setup(self) -> None:
            super().setup()
            scene.connections += 1

        def do_GET(self) -> None:
            self.give((404, {}, b"{}"))

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            scene.timeouts.append(float(self.headers["X-Request-Timeout"]))
            if (answer := scene.next()) is None:
                self.close_connection = True
            else:
                self.give(answer)

        def give(self, answer: Answer) -> None:
            status, headers, body = answer
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.005,), daemon=True)
    thread.start()
    scene.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield scene
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


Predict = Callable[..., Any]


def predict(url: str, **options: Any) -> Any:
    timeout = options.pop("call", None)
    with penstock.Client(url, **options) as client:
        return client.predict([[1.0]], timeout=timeout)


def predict_async(url: str, **options: Any) -> Any:
    timeout = options.pop("call", None)

    async def work() -> Any:
        async with penstock.AsyncClient(url, **options) as client:
            return await client.predict([[1.0]], timeout=timeout)

    return asyncio.run(work())


@pytest.fixture(params=[predict, predict_async])
def call(request: pytest.FixtureRequest) -> Predict:
    return request.param  # type: ignore[no-any-return]


@contextmanager
def hanging() -> Iterator[str]:
    """Accepts connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


class TestTries:
    def test_a_busy_server_is_asked_again(self, call: Predict) -> None:
        with serving(Scene(BUSY, BUSY, PREDICTED)) as scene:
            assert call(scene.url) == [1]
        assert len(scene.timeouts) == 3
        assert scene.timeouts == sorted(scene.timeouts, reverse=True)

    def test_a_server_that_stays_busy_is_an_error_with_its_words(self, call: Predict) -> None:
        with serving(Scene(BUSY)) as scene, pytest.raises(GatewayBusy, match=r"Later.*3 tries") as caught:
            call(scene.url, retries=2)
        assert (caught.value.status, caught.value.retry_after) == (503, 0.0)

    def test_a_lost_connection_is_asked_again_unless_the_caller_minds(self, call: Predict) -> None:
        with serving(Scene(None, PREDICTED)) as scene:
            assert call(scene.url) == [1]
        with serving(Scene(None, PREDICTED)) as scene, pytest.raises(GatewayUnreachable, match="connection was lost"):
            call(scene.url, repeat_lost=False)

    def test_a_server_that_is_not_there_yet_is_waited_for(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
        url, found = f"http://127.0.0.1:{port}", []
        with penstock.Client(url) as client:
            asking = threading.Thread(target=lambda: found.append(client.predict([[1.0]])))
            asking.start()
            while not client._conversation.line.retried:
                time.sleep(0.001)
            with serving(Scene(PREDICTED), port):
                asking.join()
        assert found == [[1]]

    def test_no_server_at_all_is_an_error_that_says_so(self, call: Predict) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(GatewayUnreachable, match="There is no connection") as caught:
            call(url, retries=0)
        assert caught.value.status is None


class TestDeadlines:
    def test_a_server_that_never_answers_costs_no_more_than_the_timeout(self, call: Predict) -> None:
        with hanging() as url:
            began = time.monotonic()
            with pytest.raises(GatewayTimeout, match="did not answer before the deadline"):
                call(url, call=0.1)
            assert time.monotonic() - began < 5.0

    def test_an_answer_that_trickles_in_costs_no_more_either(self, call: Predict) -> None:
        ended = threading.Event()

        def trickle(listening: socket.socket) -> None:
            connection, _ = listening.accept()
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n")
            try:
                while not ended.wait(0.02):
                    connection.sendall(b"x")
            except OSError:
                pass
            connection.close()

        with socket.create_server(("127.0.0.1", 0)) as listening:
            thread = threading.Thread(target=trickle, args=(listening,))
            thread.start()
            with pytest.raises(GatewayTimeout):
                call(f"http://127.0.0.1:{listening.getsockname()[1]}", call=0.15)
            ended.set()
            thread.join()

    async def test_the_server_drops_what_would_be_late_and_says_so(self, bench: Bench) -> None:
        held = Held()
        bench.serve(predictor=held)
        async with bench.open() as transport:
            client = penstock.AsyncClient("http://test", http_client=transport)
            with pytest.raises(GatewayTimeout, match="deadline has passed") as caught:
                await client.predict(np.ones((1, 3)), timeout=2.0)
            assert (caught.value.status, caught.value.error_code) == (504, "DEADLINE_EXCEEDED")
            held.free.set()


class TestConnections:
    def test_one_connection_is_used_again(self) -> None:
        with serving(Scene(PREDICTED)) as scene, penstock.Client(scene.url) as client:
            assert [client.predict([[1.0]]) for _ in range(5)] == [[1]] * 5
        assert scene.connections == 1

    def test_threads_share_a_client(self) -> None:
        found: list[Any] = []
        with serving(Scene(PREDICTED)) as scene, penstock.Client(scene.url) as client:
            threads = [threading.Thread(target=lambda: found.append(client.predict([[1.0]]))) for _ in range(8)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert found == [[1]] * 8
            assert repr(client) == f"<Client of {scene.url}, 9 requests, 0 of them again>"

    def test_a_closed_client_says_so(self) -> None:
        client = penstock.Client("http://127.0.0.1:1")
        client.close()
        client.close()
        assert "closed" in repr(client)
        with pytest.raises(Closing, match="The client is closed"):
            client.predict([[1.0]])

    def test_a_client_of_ones_own_stays_open(self) -> None:
        # It answers whatever is asked, so that what it says of signatures makes no sense: that costs no prediction.
        own = httpx.Client(transport=httpx.MockTransport(lambda _: httpx.Response(200, json={"predictions": [2]})))
        with penstock.Client("http://gateway", http_client=own) as client:
            assert client.predict([[1.0]]) == [2]
        assert not own.is_closed
        own.close()


class TestTheRealApplication:
    @pytest.fixture
    async def client(self, bench: Bench) -> AsyncIterator[penstock.AsyncClient]:
        bench.serve()
        async with bench.open() as transport, penstock.AsyncClient("http://test", http_client=transport) as made:
            yield made

    async def test_many_calls_at_once_ask_for_the_signature_once(self, client: penstock.AsyncClient) -> None:
        answers = await asyncio.gather(*(client.predict(np.full((1, 3), i)) for i in range(20)))
        assert [found.tolist() for found in answers] == [[[i, i, i]] for i in map(float, range(20))]
        assert repr(client) == "<AsyncClient of http://test, 21 requests, 0 of them again>"

    async def test_what_it_tells_of_itself_and_its_models(self, client: penstock.AsyncClient) -> None:
        await client.wait_until_ready()
        await client.wait_until_ready("m")
        assert (await client.health()).ready
        assert [model.name for model in await client.models()] == ["m"]
        described = await client.describe()
        assert (described.name, described.version, described.flavor) == ("m", "1", "onnx")

    async def test_a_promoted_version_is_noticed(self, bench: Bench, client: penstock.AsyncClient) -> None:
        first = await client.prediction(np.ones((1, 3)))
        bench.serve(version="2")
        second = await client.prediction(np.ones((1, 3)))
        assert (first.version, second.version, second.model) == ("1", "2", "m")
        assert second.timing is not None
        assert second.timing.keys() == {"decode", "queue", "predict", "encode"}

    async def test_what_does_not_fit_is_named(self, client: penstock.AsyncClient) -> None:
        with pytest.raises(RequestRefused) as caught:
            await client.predict([[1.0, 2.0]])
        (violation,) = caught.value.violations
        assert violation.reason == "the model takes shape [-1, 3], but the input has [1, 2]"
        assert caught.value.request_id

    async def test_the_token_is_sent(self, identity_onnx_package: Path) -> None:
        bench = Bench(identity_onnx_package, token="secret")
        bench.serve()
        async with bench.open() as transport:
            with pytest.raises(GatewayDenied, match="Give the client the server's token"):
                await penstock.AsyncClient("http://test", http_client=transport).predict([[1, 2, 3]])
            known = penstock.AsyncClient("http://test", token="secret", http_client=transport)
            assert await known.predict([[1, 2, 3]]) == [[1.0, 2.0, 3.0]]
        await bench.close()


def test_without_httpx_the_error_names_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "httpx", None)
    with pytest.raises(DependencyMissing) as caught:
        http.need_httpx()
    assert str(caught.value) == "Clients of gateways need httpx, which is not installed. pip install 'penstock[client]'"


def test_a_client_imports_no_server_and_no_model_library() -> None:
    program = (
        "import penstock, sys, httpx\n"
        "def answer(request):\n"
        "    return httpx.Response(200 if request.method == 'POST' else 404, json={'predictions': [1]})\n"
        "own = httpx.Client(transport=httpx.MockTransport(answer))\n"
        "client = penstock.Client('http://x', http_client=own)\n"
        "assert client.predict([{'a': 1}]) == [1]\n"
        "print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    heavy = {"pandas", "pyarrow", "sklearn", "starlette", "uvicorn", "onnxruntime", "sqlalchemy", "pydantic"}
    assert not heavy & set(done.stdout.split())
