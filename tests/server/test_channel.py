"""What supervisor and workers say to each other: whole messages in order, and nothing else."""

from __future__ import annotations

import asyncio
import dataclasses
import socket
from collections.abc import AsyncIterator
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.http.workers.channel import Channel, Vocabulary, WorkerMessage
from penstock.http.workers.messages import AllMetrics, CollectMetrics, ProcessMessage, Scrape, WorkerStarted
from penstock.server.workers.worker import VOCABULARY
from penstock.serving.fleet.messages import Command, Event, NoteFailure, VersionProven
from penstock.serving.served_model import LoadFailure, RegistryState

KINDS = (*get_args(ProcessMessage), *get_args(Command), *get_args(Event))

text = st.text(st.characters())  # half characters among them, as in a path that is not UTF-8
maybe = st.none() | text
# How fields are made, by their annotations.
FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "str": text,
    "str | None": maybe,
    "int": st.integers(0, 2**40),
    "float": st.floats(0, 1e6),
    "bool": st.booleans(),
    "dict[str, Any]": st.dictionaries(text, maybe | st.booleans()),
    "Mapping[str, Any]": st.dictionaries(text, maybe | st.booleans()),
    "list[str]": st.lists(text),
    "list[Any]": st.lists(maybe | st.lists(text)),
    "LoadFailure | None": st.none()
    | st.builds(LoadFailure, text, text, text, st.floats(0, 2e9), st.integers(1, 99), st.booleans()),
    "RegistryState": st.builds(
        RegistryState,
        st.sampled_from(["ok", "names_no_version", "unreachable"]),
        st.booleans(),
        text,
        text,
        st.floats(0, 2e9),
    ),
}


def any_of(kind: Any) -> st.SearchStrategy[Any]:
    return st.builds(kind, **{field.name: FIELDS[str(field.type)] for field in dataclasses.fields(kind)})


@given(st.one_of([any_of(kind) for kind in KINDS]))
def test_every_message_comes_back_as_it_was(message: WorkerMessage) -> None:
    frame = VOCABULARY.encode(message)
    assert int.from_bytes(frame[:4], "big") == len(frame) - 4
    assert VOCABULARY.decode(frame[4:]) == message


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b'{"is":"Nobody"}',
        b'{"is":"PrepareVersion"}',
        b'{"is":"WorkerStarted","more":1}',
        b'{"is":["PrepareVersion"]}',
        b'{"is":"NoteFailure","model":"m","failure":{"code":"internal"}}',
        b"\x80\x04N.",  # a pickle
    ],
)
def test_what_is_no_message_is_refused(body: bytes) -> None:
    with pytest.raises(ValueError):
        VOCABULARY.decode(body)


def test_a_message_of_another_vocabulary_is_not_sent() -> None:
    with pytest.raises(ValueError, match="unknown message: Scrape"):
        Vocabulary([WorkerStarted]).encode(Scrape(1))


def test_each_message_is_in_the_vocabulary_once() -> None:
    assert VOCABULARY.names == sorted(kind.__name__ for kind in KINDS)


def test_a_load_failure_comes_back_as_it_was() -> None:
    message = NoteFailure("m", LoadFailure("2", "proof_failed", "no", 1.0, 1))
    assert VOCABULARY.decode(VOCABULARY.encode(message)[4:]) == message


async def pair() -> list[Channel]:
    return await asyncio.gather(*(Channel.over(end, VOCABULARY) for end in socket.socketpair()))


@pytest.fixture
async def ends() -> AsyncIterator[tuple[Channel, socket.socket]]:
    """A channel, and the bare socket at its other end."""
    ours, theirs = socket.socketpair()
    channel = await Channel.over(ours, VOCABULARY)
    theirs.setblocking(False)
    yield channel, theirs
    theirs.close()
    await channel.close()


async def test_messages_come_one_by_one_however_the_bytes_come(ends: Any) -> None:
    channel, theirs = ends
    sent: list[WorkerMessage] = [WorkerStarted(), VersionProven("iris", "1"), Scrape(7)]
    for byte in b"".join(VOCABULARY.encode(message) for message in sent):
        await asyncio.get_running_loop().sock_sendall(theirs, bytes([byte]))
    theirs.shutdown(socket.SHUT_WR)
    assert [message async for message in channel] == sent


async def test_large_messages_pass_in_both_directions_at_once() -> None:
    one, other = await pair()
    large = AllMetrics(1, "x" * 5_000_000)
    one.send(large)
    other.send(large)
    assert await other.receive() == large
    assert await one.receive() == large
    await one.close()
    assert await other.receive() is None
    await other.close()


async def test_a_message_cut_short_is_the_end(ends: Any) -> None:
    channel, theirs = ends
    theirs.sendall(VOCABULARY.encode(WorkerStarted())[:-1])
    theirs.close()
    assert await channel.receive() is None


async def test_an_absurd_length_is_refused_unread(ends: Any) -> None:
    channel, theirs = ends
    theirs.sendall(b"\xff\xff\xff\xff")
    with pytest.raises(ValueError, match="4,294,967,295 bytes"):
        await channel.receive()


async def test_sending_to_a_closed_end_does_no_harm(ends: Any) -> None:
    channel, theirs = ends
    theirs.close()
    for _ in range(10):
        channel.send(CollectMetrics())
        await asyncio.sleep(0)
    assert await channel.receive() is None
    await channel.close()
    channel.send(CollectMetrics())
