"""Packed bodies: unpacked within the limit."""

from __future__ import annotations

import gzip
import os
import zlib

import pytest

from penstock.errors import InputTooLarge, MalformedInput, UnsupportedMedia
from penstock.wire.content_encoding import encodings_of, unpack

LIMIT = 1_000_000
LARGE = os.urandom(200_000)


def test_a_plain_body_is_left_alone() -> None:
    assert encodings_of(None) == encodings_of(b"identity") == encodings_of(b"") == ()
    assert unpack(b"x", (), LIMIT) == b"x"


def test_the_last_encoding_is_taken_off_first() -> None:
    encodings = encodings_of(b"Deflate, GZIP")
    assert encodings == ("deflate", "gzip")
    assert unpack(gzip.compress(zlib.compress(LARGE)), encodings, LIMIT) == LARGE


@pytest.mark.parametrize("size", [LIMIT + 1, 50 * LIMIT])
def test_a_body_that_unpacks_past_the_limit_is_refused(size: int) -> None:
    with pytest.raises(InputTooLarge, match="1,000,000 bytes"):
        unpack(gzip.compress(b"\0" * size), ("gzip",), LIMIT)


def test_other_encodings_and_damaged_bodies_are_refused() -> None:
    with pytest.raises(UnsupportedMedia, match="Content-Encoding 'br' are not supported"):
        encodings_of(b"br")
    with pytest.raises(MalformedInput, match="does not match its Content-Encoding"):
        unpack(b"no gzip", ("gzip",), LIMIT)
    with pytest.raises(MalformedInput, match="is truncated"):
        unpack(gzip.compress(b"abc")[:-4], ("gzip",), LIMIT)
