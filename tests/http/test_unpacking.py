"""Packed bodies: unpacked within the limit, in threads that end with their owner."""

from __future__ import annotations

import gzip
import os
import threading
import zlib
from collections.abc import Iterator
from typing import Any

import pytest
from penstock.http.unpacking import Unpacker

from penstock.errors import InputTooLarge, MalformedInput, UnsupportedMedia

LIMIT = 1_000_000
LARGE = os.urandom(200_000)


def head(encoding: str) -> dict[str, Any]:
    return {"headers": [(b"content-encoding", encoding.encode())]}


def threads() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name.startswith("penstock-unpack")}


class Hold:
    """Counts the bytes that are held."""

    bytes = 0

    def take(self, more: int, /) -> None:
        self.bytes += more


@pytest.fixture
def unpacker() -> Iterator[Unpacker]:
    made = Unpacker()
    yield made
    made.close()


async def test_a_plain_body_is_left_alone(unpacker: Unpacker) -> None:
    assert await unpacker.unpack({"headers": []}, b"x", LIMIT) == b"x"


async def test_small_bodies_need_no_thread_and_large_ones_have_their_own(unpacker: Unpacker) -> None:
    before = threads()  # of applications of other tests
    assert await unpacker.unpack(head("gzip"), gzip.compress(b"abc"), LIMIT) == b"abc"
    assert threads() == before
    assert await unpacker.unpack(head("deflate, gzip"), gzip.compress(zlib.compress(LARGE)), LIMIT) == LARGE
    assert threads() > before
    unpacker.close()
    assert threads() == before


async def test_what_a_body_becomes_is_held(unpacker: Unpacker) -> None:
    hold, packed = Hold(), gzip.compress(b"\0" * 10_000)
    await unpacker.unpack(head("gzip"), packed, LIMIT, hold)
    assert hold.bytes == 10_000 - len(packed)


@pytest.mark.parametrize("size", [LIMIT + 1, 50 * LIMIT])
async def test_a_body_that_unpacks_past_the_limit_is_refused(unpacker: Unpacker, size: int) -> None:
    with pytest.raises(InputTooLarge, match="1,000,000 bytes"):
        await unpacker.unpack(head("gzip"), gzip.compress(b"\0" * size), LIMIT)


async def test_other_encodings_and_damaged_bodies_are_refused(unpacker: Unpacker) -> None:
    with pytest.raises(UnsupportedMedia, match="Content-Encoding 'br' are not supported"):
        await unpacker.unpack(head("br"), b"x", LIMIT)
    with pytest.raises(MalformedInput, match="does not match its Content-Encoding"):
        await unpacker.unpack(head("gzip"), b"no gzip", LIMIT)
    with pytest.raises(MalformedInput, match="is truncated"):
        await unpacker.unpack(head("gzip"), gzip.compress(b"abc")[:-4], LIMIT)
