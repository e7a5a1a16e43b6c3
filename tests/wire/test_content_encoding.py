"""Packed bodies come out whole or are refused, at a cost that their size and the limit bound."""

from __future__ import annotations

import gzip
import tracemalloc
import zlib
from collections.abc import Callable

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from penstock.errors import InputTooLarge, MalformedInput, UnsupportedMedia
from penstock.wire.content_encoding import MAX_ENCODINGS, encodings_of, unpack

LIMIT = 1_000_000
PACK: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "zstd": zstandard.compress,
}
SKIPPED = b"\x5a\x2a\x4d\x18" + (5).to_bytes(4, "little") + b"notes"


def empty_frame() -> bytes:
    return zstandard.ZstdCompressor(write_content_size=False).compress(b"")


def streamed(*pieces: bytes, end: bool = True) -> bytes:
    """A zstd frame without its length in front, flushed behind every piece."""
    packer = zstandard.ZstdCompressor(write_checksum=True).compressobj()
    found = b"".join(packer.compress(p) + packer.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK) for p in pieces)
    return found + packer.flush() if end else found


@given(st.lists(st.binary(max_size=3000), min_size=1, max_size=6), st.sampled_from(["gzip", "zstd"]))
def test_all_members_and_frames_are_read(parts: list[bytes], encoding: str) -> None:
    assert unpack(b"".join(map(PACK[encoding], parts)), [encoding], LIMIT) == b"".join(parts)


def test_long_members_and_streamed_frames_are_read() -> None:
    text = b"".join(b"%d,%d\n" % (i, i * i) for i in range(60_000))
    assert unpack(gzip.compress(text[:500_000]) + gzip.compress(text[500_000:]), ["gzip"], LIMIT) == text
    assert (
        unpack(streamed(text[:100], text[100:]) + SKIPPED + zstandard.compress(b"end"), ["zstd"], LIMIT)
        == text + b"end"
    )
    assert unpack(SKIPPED + zstandard.compress(text), ["zstd"], LIMIT) == text
    assert unpack(zlib.compress(text, 1), ["deflate"], LIMIT) == text


def test_empty_members_and_frames_hold_nothing() -> None:
    assert unpack(gzip.compress(b"a") + gzip.compress(b"") * 3 + gzip.compress(b"b"), ["gzip"], LIMIT) == b"ab"
    assert unpack(empty_frame() + zstandard.compress(b"a") + empty_frame(), ["zstd"], LIMIT) == b"a"


@pytest.mark.parametrize("encoding", PACK)
@pytest.mark.parametrize("junk", [b"j", b"junkjunkjunkjunkjunk", b"\0\0\0\0"])
def test_what_follows_the_end_is_refused(encoding: str, junk: bytes) -> None:
    with pytest.raises(MalformedInput, match=r"Content-Encoding|truncated|after its end"):
        unpack(PACK[encoding](b"a,b\n1,2\n") + junk, [encoding], LIMIT)


@pytest.mark.parametrize("encoding", PACK)
def test_a_body_cut_anywhere_is_refused(encoding: str) -> None:
    packed = PACK[encoding](bytes(range(256)) * 3)
    for length in range(len(packed)):
        with pytest.raises(MalformedInput):
            unpack(packed[:length], [encoding], LIMIT)


def test_a_zstd_frame_cut_between_its_blocks_is_refused() -> None:
    with pytest.raises(MalformedInput, match="truncated"):
        unpack(streamed(b"a" * 3000, b"b" * 5000, end=False), ["zstd"], LIMIT)
    with pytest.raises(MalformedInput, match="truncated"):
        unpack(zstandard.compress(b"a") + SKIPPED[:-1], ["zstd"], LIMIT)


@pytest.mark.parametrize("encoding", PACK)
def test_a_short_body_that_stands_for_much_costs_no_more_than_the_limit(encoding: str) -> None:
    packed = PACK[encoding](b"\0" * 100 * LIMIT)
    tracemalloc.start()
    try:
        with pytest.raises(InputTooLarge, match=r"1,000,000 bytes \(max_body_bytes\)"):
            unpack(packed, [encoding], LIMIT)
        assert tracemalloc.get_traced_memory()[1] < 6 * LIMIT
    finally:
        tracemalloc.stop()


def test_a_large_limit_costs_a_short_body_nothing() -> None:
    for encoding, pack in PACK.items():
        packed = pack(b"a,b\n1,2\n")
        unpack(packed, [encoding], LIMIT)
        tracemalloc.start()
        try:
            unpack(packed, [encoding], 10_000 * LIMIT)
            assert tracemalloc.get_traced_memory()[1] < 3 * LIMIT
        finally:
            tracemalloc.stop()


def test_a_zstd_frame_that_says_it_is_too_long_is_not_unpacked() -> None:
    with pytest.raises(InputTooLarge):
        unpack(zstandard.compress(b"\0" * (LIMIT + 1))[:20] + b"damaged", ["zstd"], LIMIT)


def test_a_body_of_empty_parts_alone_is_refused() -> None:
    with pytest.raises(MalformedInput, match="after its end"):
        unpack(gzip.compress(b"") * 70_000, ["gzip"], LIMIT)
    with pytest.raises(MalformedInput, match="65,536 parts"):
        unpack(empty_frame() * 70_000, ["zstd"], LIMIT)


def test_a_window_that_is_too_wide_is_refused() -> None:
    wide = zstandard.ZstdCompressionParameters(window_log=28)
    packer = zstandard.ZstdCompressor(compression_params=wide).compressobj()
    with pytest.raises(MalformedInput, match="does not match"):
        unpack(packer.compress(b"a" * 100) + packer.flush(), ["zstd"], LIMIT)


def test_encodings_are_undone_from_the_last() -> None:
    packed = zstandard.compress(zlib.compress(gzip.compress(b"abc")))
    encodings = encodings_of("gzip, Deflate , identity,, ZSTD")
    assert encodings == ("zstd", "deflate", "gzip")
    assert unpack(packed, encodings, LIMIT) == b"abc"
    assert encodings_of("") == encodings_of("identity") == ()


def test_too_many_and_unknown_encodings_are_refused() -> None:
    assert encodings_of(",".join(["gzip"] * MAX_ENCODINGS))
    for header in (",".join(["gzip"] * (MAX_ENCODINGS + 1)), "," * 10_000):
        with pytest.raises(UnsupportedMedia, match="more than 4 encodings"):
            encodings_of(header)
    with pytest.raises(UnsupportedMedia, match="'br' are not supported"):
        encodings_of("gzip, br")
