"""Frames: whole, in pieces, several at once, too large, and no frames at all."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.model_process.protocol.messages import HEAD_SIZE, MAX_NOTE, Frame, Incoming, Kind, Malformed, encode


def fed(incoming: Incoming, data: bytes, sizes: list[int]) -> list[Frame]:
    """The frames in the data, which arrives in pieces of these sizes, over and over."""
    frames = []
    position = turn = 0
    while position < len(data):
        room = incoming.room()
        assert len(room), "no room"
        count = min(len(room), max(1, sizes[turn % len(sizes)]), len(data) - position)
        room[:count] = data[position : position + count]
        position, turn = position + count, turn + 1
        frames += incoming.filled(count)
    return frames


def plain(frame: Frame) -> tuple[Any, ...]:
    return frame.kind, frame.id, frame.plan, frame.note, bytes(frame.body or b""), frame.seconds


_frames = st.tuples(
    st.sampled_from(Kind), st.integers(0, 2**32 - 1), st.binary(max_size=40), st.binary(max_size=40),
    st.sampled_from([0, 1, 100, 65_400, 65_536, 65_537, 200_000]), st.floats(0, 1e6),
)  # fmt: skip


@given(
    st.lists(_frames, max_size=6),
    st.lists(st.sampled_from([1, 7, HEAD_SIZE, 4096, 65_536, 70_000, 1 << 20]), min_size=1),
)
def test_frames_come_through_however_they_are_cut(sent: list[Any], sizes: list[int]) -> None:
    data = b"".join(
        piece
        for kind, id, plan, note, size, seconds in sent
        for piece in encode(kind, id, plan=plan, note=note, body=[bytes([id % 251]) * size], seconds=seconds)
    )
    if len(data) > 2_000:
        sizes = [size for size in sizes if size > HEAD_SIZE] or [4096]
    found = [plain(frame) for frame in fed(Incoming(), data, sizes)]
    assert found == [(k, i, p, n, bytes([i % 251]) * size, seconds) for k, i, p, n, size, seconds in sent]


def _head(**changes: Any) -> bytes:
    whole = bytearray(encode(Kind.ANSWER, 1)[0])
    for position, value in changes.items():
        at = int(position.removeprefix("at"))
        whole[at : at + len(value)] = value
    return bytes(whole)


@pytest.mark.parametrize(
    "data",
    [
        _head(at0=b"HTTP"),
        _head(at4=b"\x02"),
        _head(at5=b"\x00"),
        _head(at5=b"\xff"),
        _head(at12=b"\xff\xff\xff\xff"),
        _head(at16=b"\xff\xff\xff\xff"),
        _head(at20=b"\xff\xff\xff\xff\xff\xff\xff\xff"),
        _head(at20=(1 << 21).to_bytes(8, "little")),
    ],
)
def test_a_frame_that_is_none_or_too_large_is_refused(data: bytes) -> None:
    with pytest.raises(Malformed):
        fed(Incoming(max_body=1 << 20), data, [1000])


def test_nothing_too_large_is_sent() -> None:
    with pytest.raises(Malformed, match="more than one message may have"):
        encode(Kind.ANSWER, note=bytes(MAX_NOTE + 1))


def test_a_large_body_is_not_copied_into_the_message() -> None:
    body = memoryview(bytearray(1 << 20))
    assert encode(Kind.ANSWER, body=[body])[1] is body
