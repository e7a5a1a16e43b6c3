"""The wire to a model process, which is not trusted: what it says is believed only where it holds together."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import numpy as np
import pytest

from penstock.errors import MalformedInput, ModelProcessLost, PredictError
from penstock.model_process.client import async_client
from penstock.model_process.client.async_client import ModelProcessClient
from penstock.model_process.protocol.messages import Incoming, Kind, encode
from penstock.model_process.protocol.payload_values import encode as encode_payload
from penstock.model_process.protocol.remote_errors import describe
from penstock.payload import Table, Tensors, Value, as_object_array
from serving.fakes import tensors, values_of


class Rogue:
    """The other end, in the hands of the test."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.lost: list[str] = []
        self.link = ModelProcessClient(Incoming(max_body=1 << 20), self.lost.append, time_limit=30.0)

    async def ask(self, payload: Any = None) -> asyncio.Future[Any]:
        answer = self.link.predict(payload if payload is not None else tensors(1), None)
        await asyncio.sleep(0)
        return answer

    async def say(self, *pieces: Any) -> None:
        loop = asyncio.get_running_loop()
        for piece in pieces:
            await loop.sock_sendall(self.sock, piece)


@pytest.fixture
async def rogue() -> AsyncIterator[Rogue]:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    theirs.setblocking(False)
    made = Rogue(theirs)
    transport, _ = await asyncio.get_running_loop().create_unix_connection(lambda: made.link, sock=ours)
    yield made
    transport.abort()
    theirs.close()


def answer_of(number: int, payload: Any, **changes: Any) -> list[Any]:
    plan, body = encode_payload(payload)
    return encode(Kind.ANSWER, number, **{"plan": plan, "body": body, "seconds": 0.25, **changes})


async def test_answers_find_their_questions_in_any_order(rogue: Rogue) -> None:
    first, second = await rogue.ask(), await rogue.ask()
    assert rogue.link.load == 2
    await rogue.say(*answer_of(2, tensors(20)), *answer_of(1, tensors(10)))
    assert [values_of((await answer)[0]) for answer in (first, second)] == [[10], [20]]
    assert (await first)[1] == 0.25
    assert rogue.link.load == 0


async def test_long_texts_are_written_and_read_beside_the_loop(rogue: Rogue, monkeypatch: pytest.MonkeyPatch) -> None:
    threads = set()
    for name in ("encode_payload", "decode"):
        plain = getattr(async_client, name)

        def noted(*args: Any, plain: Any = plain, **more: Any) -> Any:
            threads.add(threading.current_thread().name.rpartition("_")[0])
            return plain(*args, **more)

        monkeypatch.setattr(async_client, name, noted)
    texts = Tensors.single(as_object_array(["x" * 50_000, "y"] * 8))
    asked = await rogue.ask(texts)
    sent = await asyncio.get_running_loop().sock_recv(rogue.sock, 1 << 20)
    assert sent[:4] == b"PNSK"
    await rogue.say(*answer_of(1, texts))
    payload, seconds = await asked
    assert payload.arrays[0].tolist() == texts.arrays[0].tolist()
    assert seconds == 0.25
    assert threads == {"penstock-model-client"}


async def test_a_long_answer_that_is_none_ends_the_wire(rogue: Rogue) -> None:
    asked = await rogue.ask()
    plan, body = encode_payload(Tensors.single(as_object_array(["x" * 50_000] * 8)))
    broken = b"{" + b"".join(body)[1:]
    await rogue.say(*encode(Kind.ANSWER, 1, plan=plan, body=[broken]))
    with pytest.raises(ModelProcessLost, match="invalid message"):
        await asked
    assert "invalid message" in rogue.lost[0]


async def test_an_error_is_an_answer_too(rogue: Rogue) -> None:
    asked = await rogue.ask()
    await rogue.say(*encode(Kind.ERROR, 1, note=describe(PredictError("It failed."))))
    with pytest.raises(PredictError, match=r"It failed\."):
        await asked
    assert rogue.lost == []


async def test_seconds_are_made_sane(rogue: Rogue) -> None:
    asked = await rogue.ask()
    await rogue.say(*answer_of(1, tensors(1), seconds=-5.0))
    assert (await asked)[1] == 0.0


_short = Table(("a", "b"), columns=(np.zeros(3), np.zeros(3)))


@pytest.mark.parametrize(
    "said",
    [
        [b"HTTP/1.1 200 OK\r\n" * 5],
        [b"\x80\x04\x95pickled, as it were" * 5],
        answer_of(7, tensors(1)),
        encode(Kind.STARTED, 1),
        encode(Kind.PREDICT, 1),
        encode(Kind.ERROR, 1, note=b"{}"),
        answer_of(1, tensors(1), body=[b"12345"]),
        answer_of(1, tensors(1), plan=b'{"kind": "value"}'),
        [bytes(encode(Kind.ANSWER, 1, body=[bytes(100)])[0])[:20] + b"\xff" * 16],
        encode(Kind.ANSWER, 1, body=[bytes(2 << 20)]),
        answer_of(1, _short, plan=encode_payload(_short)[0].replace(b"[3]", b"[2]", 1)),
    ],
    ids=[
        "http", "pickle", "nobody asked", "hello again", "a question", "no error", "size", "plan", "huge", "large",
        "rows",
    ],
)  # fmt: skip
async def test_what_makes_no_sense_ends_the_wire(rogue: Rogue, said: list[Any]) -> None:
    asked = await rogue.ask()
    with suppress(OSError):  # the wire may be cut before all is said
        await rogue.say(*said)
    with pytest.raises(ModelProcessLost, match=r"invalid message.*this request is lost"):
        await asyncio.wait_for(asked, 10)
    assert len(rogue.lost) == 1
    assert rogue.lost[0].startswith("sent an invalid message")


async def test_a_late_answer_cuts_the_wire() -> None:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    with theirs:
        lost: list[str] = []
        link = ModelProcessClient(Incoming(), lost.append, time_limit=0.05)
        await asyncio.get_running_loop().create_unix_connection(lambda: link, sock=ours)
        with pytest.raises(ModelProcessLost, match=r"did not answer within 0\.05 s"):
            await asyncio.wait_for(link.predict(tensors(1), None), 10)
        assert lost == ["did not answer within 0.05 s"]


async def test_the_end_of_the_wire_loses_what_is_open(rogue: Rogue) -> None:
    asked = await rogue.ask()
    rogue.sock.close()
    with pytest.raises(ModelProcessLost, match="ended; this request is lost"):
        await asyncio.wait_for(asked, 10)
    assert rogue.lost == [""]


async def test_a_caller_that_left_harms_nobody(rogue: Rogue) -> None:
    left, stays = await rogue.ask(), await rogue.ask()
    left.cancel()
    await rogue.say(*answer_of(1, tensors(1)), *answer_of(2, tensors(2)))
    assert values_of((await stays)[0]) == [2]
    assert rogue.lost == []


async def test_rows_that_cannot_be_handed_to_a_process_are_the_callers_fault(rogue: Rogue) -> None:
    with pytest.raises(MalformedInput, match="cannot be sent"):
        await rogue.link.predict(Value(object()), None)
    assert rogue.link.load == 0


async def test_a_question_that_is_too_large_is_its_senders_fault(rogue: Rogue, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("penstock.model_process.protocol.messages.MAX_BODY", 100)
    with pytest.raises(MalformedInput, match=r"cannot be sent .* exceed the limit of one message"):
        await rogue.link.predict(tensors(*range(100)), None)
    assert rogue.link.load == 0


async def test_what_is_asked_while_the_process_is_busy_goes_in_one_piece(rogue: Rogue) -> None:
    asked = [rogue.link.predict(tensors(number), None) for number in range(5)]
    await asyncio.sleep(0)
    read = Incoming()
    frames: list[Any] = []
    sizes: list[int] = []
    while len(frames) < 5:
        sizes.append(await asyncio.get_running_loop().sock_recv_into(rogue.sock, read.room()))
        frames += read.filled(sizes[-1])
    assert [frame.id for frame in frames] == [1, 2, 3, 4, 5]
    assert len(sizes) <= 2  # the first one does not wait
    for frame in frames:
        await rogue.say(*answer_of(frame.id, tensors(10 * frame.id)))
    assert [values_of((await answer)[0]) for answer in asked] == [[10], [20], [30], [40], [50]]


async def test_what_was_asked_goes_out_before_the_wire_is_closed(rogue: Rogue) -> None:
    asked = [rogue.link.predict(tensors(number), None) for number in range(3)]
    rogue.link.finish()
    read = Incoming()
    frames = []
    while count := await asyncio.get_running_loop().sock_recv_into(rogue.sock, read.room()):
        frames += read.filled(count)
    assert [frame.id for frame in frames] == [1, 2, 3]
    rogue.sock.close()
    for answer in asked:
        with pytest.raises(ModelProcessLost):
            await asyncio.wait_for(answer, 10)


async def test_asking_after_the_end_is_an_error_like_any_other_loss(rogue: Rogue) -> None:
    asked = await rogue.ask()
    rogue.sock.close()
    with pytest.raises(ModelProcessLost):
        await asyncio.wait_for(asked, 10)
    with pytest.raises(ModelProcessLost, match="ended; this request is lost"):
        await rogue.link.predict(tensors(1), None)
