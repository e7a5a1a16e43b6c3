"""What supervisor and workers say to each other: whole messages in order, and nothing else."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.server.workers import messages as control
from penstock.server.workers.messages import Channel, Message, decode, encode

text = st.text(st.characters(exclude_categories=["Cs"]))
maybe = st.none() | text
messages = st.one_of(
    st.builds(control.Ask, text, text, text, text),
    st.builds(control.Tell, text, maybe, maybe, maybe),
    st.builds(control.Stop, text),
    st.builds(control.StartWorker, st.integers(1, 256), st.dictionaries(text, maybe | st.booleans()), st.lists(text)),
    st.builds(control.Failed, text, text, text, text, text),
    st.builds(control.Drain, st.floats(0, 1e6)),
    st.builds(control.Company, st.integers(0, 256), st.integers(0, 256)),
    st.builds(control.Exposition, st.integers(0, 2**40), text),
    st.sampled_from([control.WorkerStarted(), control.Accept(), control.Collect()]),
)


@given(messages)
def test_a_message_survives(message: Message) -> None:
    frame = encode(message)
    assert int.from_bytes(frame[:4], "big") == len(frame) - 4
    assert decode(frame[4:]) == message


@pytest.mark.parametrize(
    "body",
    [
        b"", b"null", b"[]", b"{}", b'{"is":"Nobody"}', b'{"is":"Ask"}', b'{"is":"Hello","more":1}', b'{"is":["Ask"]}',
        b"\x80\x04N.",  # a pickle
    ],
)  # fmt: skip
def test_what_is_no_message_is_refused(body: bytes) -> None:
    with pytest.raises(ValueError):
        decode(body)


def test_every_kind_is_known() -> None:
    assert set(control._KINDS.values()) == set(Message.__args__)


@pytest.fixture
async def ends() -> AsyncIterator[tuple[Channel, socket.socket]]:
    """A channel, and the bare socket at its other end."""
    ours, theirs = socket.socketpair()
    channel = await Channel.over(ours)
    theirs.setblocking(False)
    yield channel, theirs
    theirs.close()
    await channel.close()


async def test_messages_come_one_by_one_however_the_bytes_come(ends: Any) -> None:
    channel, theirs = ends
    sent = [control.WorkerStarted(), control.Proven("iris", "1"), control.Scrape(7)]
    for byte in b"".join(map(encode, sent)):
        await asyncio.get_running_loop().sock_sendall(theirs, bytes([byte]))
    theirs.shutdown(socket.SHUT_WR)
    assert [message async for message in channel] == sent


async def test_a_large_message_in_both_directions() -> None:
    one, other = await asyncio.gather(*map(Channel.over, socket.socketpair()))
    large = control.Exposition(1, "x" * 5_000_000)
    one.send(large)
    other.send(large)
    assert await other.receive() == large
    assert await one.receive() == large
    await one.close()
    assert await other.receive() is None
    await other.close()


async def test_a_message_cut_short_is_the_end(ends: Any) -> None:
    channel, theirs = ends
    theirs.sendall(encode(control.WorkerStarted())[:-1])
    theirs.close()
    assert await channel.receive() is None


async def test_an_absurd_length_is_refused_unread(ends: Any) -> None:
    channel, theirs = ends
    theirs.sendall(b"\xff\xff\xff\xff")
    with pytest.raises(ValueError, match="4,294,967,295 bytes"):
        await channel.receive()


async def test_speaking_to_nobody_does_no_harm(ends: Any) -> None:
    channel, theirs = ends
    theirs.close()
    for _ in range(10):
        channel.send(control.Collect())
        await asyncio.sleep(0)
    assert await channel.receive() is None
    await channel.close()
    channel.send(control.Collect())
