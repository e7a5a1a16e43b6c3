"""The short cut for crowds: refused from the head alone, on a connection that lives on; everything else as usual."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from penstock.loading import LoadOptions, load_path
from penstock.metrics import Metrics
from penstock.server.app import make_app
from penstock.serving.gateway import Gateway
from penstock.serving.servable import Servable
from penstock.serving.served_model import ServedModel
from serving.fakes import until
from support.wire import connect

BODY = b'{"inputs": [[1, 2, 3]]}'


class Talk:
    """One connection to a gateway with one model."""

    def __init__(self, package: Path, token: str = "", **options: Any) -> None:
        self.metrics = Metrics(process=False)
        served = ServedModel("m", self.metrics)
        self.servable = Servable("m", "1", load_path(package, LoadOptions()), self.metrics)
        served.swap(self.servable)
        self.gateway = Gateway([served], self.metrics)
        app = make_app(self.gateway, token=token, **options)
        self.protocol, self.wire = connect(app)

    def full(self, full: bool = True) -> None:
        self.servable.concurrency_limit.limit = 0 if full else float("inf")

    def send(self, path: bytes = b"/invocations", extra: bytes = b"", body: bytes = BODY) -> None:
        head = b"POST %b HTTP/1.1\r\nhost: t\r\ncontent-type: application/json\r\ncontent-length: %d\r\n%b\r\n"
        self.protocol.data_received(head % (path, len(body), extra) + body)

    async def answer(self) -> tuple[int, dict[str, str], Any]:
        """The next answer, once it is there."""
        await until(lambda: b"\r\n\r\n" in self.wire.written)
        head, _, rest = self.wire.written.partition(b"\r\n\r\n")
        status, *lines = head.decode().split("\r\n")
        headers = dict(line.split(": ", 1) for line in lines)
        length = int(headers["content-length"])
        await until(lambda: len(self.wire.written) >= len(head) + 4 + length)
        self.wire.written = self.wire.written[len(head) + 4 + length :]
        return int(status.split()[1]), headers, json.loads(rest[:length] or b"null")

    def count(self, outcome: str) -> float:
        labels = {"model": "m", "version": "1", "protocol": "invocations", "outcome": outcome}
        return self.metrics.registry.get_sample_value("penstock_requests_total", labels) or 0


@pytest.fixture
async def talk(identity_onnx_package: Path) -> AsyncIterator[Talk]:
    one = Talk(identity_onnx_package)
    yield one
    one.full(False)
    await one.gateway.close()


async def _alerted(talk: Talk) -> None:
    """The first refusal goes the usual way, and raises the alert."""
    talk.full()
    talk.send()
    assert (await talk.answer())[0] == 429
    assert talk.protocol._load_shedder is not None
    assert talk.protocol._load_shedder.alerted


async def test_a_refusal_from_the_head_equals_one_of_the_slow_path(talk: Talk) -> None:
    talk.full()
    talk.send(extra=b"x-request-id: mine\r\n")
    usual = await talk.answer()
    talk.send(extra=b"x-request-id: mine\r\n")
    assert talk.wire.written, "no task was needed"
    short = await talk.answer()
    for _, headers, _ in (usual, short):
        headers.pop("date", None), headers.pop("server-timing", None)
    assert short == usual
    assert short[1]["x-request-id"] == "mine"
    assert int(short[1]["retry-after"]) >= 1
    assert talk.count("rejected") == 2


async def test_the_connection_of_a_refused_request_lives_on(talk: Talk) -> None:
    await _alerted(talk)
    talk.send()
    talk.send()
    assert [(await talk.answer())[0] for _ in range(2)] == [429, 429]
    talk.full(False)
    talk.send()
    status, headers, document = await talk.answer()
    assert (status, document) == (200, {"predictions": {"y": [[1.0, 2.0, 3.0]]}})
    assert headers["x-model-name"] == "m"
    assert not talk.wire.closed


async def test_a_body_that_comes_later_is_thrown_away(talk: Talk) -> None:
    await _alerted(talk)
    talk.protocol.data_received(b"POST /invocations HTTP/1.1\r\nhost: t\r\ncontent-length: %d\r\n\r\n" % len(BODY))
    assert (await talk.answer())[0] == 429
    talk.protocol.data_received(BODY[:7])
    talk.protocol.data_received(BODY[7:])
    talk.full(False)
    talk.send()
    assert (await talk.answer())[0] == 200


async def test_an_offer_of_another_protocol_is_refused_like_any(talk: Talk) -> None:
    await _alerted(talk)
    talk.send(extra=b"connection: upgrade\r\nupgrade: h2c\r\n")
    assert talk.wire.written, "no task was needed"
    assert (await talk.answer())[0] == 429
    talk.full(False)
    talk.send()
    assert (await talk.answer())[0] == 200


@pytest.mark.parametrize(
    ("path", "extra", "status"),
    [
        (b"/invocations", b"x-request-timeout: 5\r\n", 429),
        (b"/models/m/invocations?x=1", b"", 429),
        (b"/models/m/versions/1/invocations", b"", 429),
        (b"/models/other/invocations", b"", 404),
        (b"/nothing", b"", 404),
    ],
)
async def test_other_requests_get_their_own_answer(talk: Talk, path: bytes, extra: bytes, status: int) -> None:
    await _alerted(talk)
    talk.send(path, extra)
    assert (await talk.answer())[0] == status


async def test_an_answer_under_way_is_not_overtaken(talk: Talk) -> None:
    await _alerted(talk)
    talk.full(False)
    talk.send()
    talk.full()
    talk.send()
    assert [(await talk.answer())[0] for _ in range(2)] in ([200, 429], [429, 429])


async def test_a_request_without_a_token_is_a_401_before_it_is_a_429(identity_onnx_package: Path) -> None:
    talk = Talk(identity_onnx_package, token="secret")
    talk.full()
    for _ in range(2):
        talk.send(extra=b"authorization: Bearer secret\r\n")
        assert (await talk.answer())[0] == 429
    talk.send()
    assert (await talk.answer())[0] == 401
    talk.full(False)
    await talk.gateway.close()


async def test_a_models_own_timeout_is_what_its_callers_wait(talk: Talk, monkeypatch: pytest.MonkeyPatch) -> None:
    await _alerted(talk)
    talk.servable.timeout = 7.0
    time_left = []
    monkeypatch.setattr(talk.gateway, "admit", lambda servable, seconds, declared=0: time_left.append(seconds))
    talk.full(False)
    talk.send()
    assert (await talk.answer())[0] == 200
    assert time_left == [7.0, 7.0]  # on the short cut, and on the usual way
