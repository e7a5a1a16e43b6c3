"""Packed bodies: bombs of a thousand to one, streams that are cut or go on, packings inside packings."""

from __future__ import annotations

import gzip
import struct
import zlib
from collections.abc import Callable, Iterator
from functools import partial

import zstandard

from hostile.body import CSV, JSON, HostileBody

# What a bomb becomes: below the limit that servers are shipped with, so that it is read and not just refused.
UNPACKED = 60 * 1024 * 1024
_BEYOND = 3 * 1024**3

_HEADER = b"sepal_length,sepal_width,petal_length,petal_width\n"
_PLAIN = _HEADER + b"6.7,3.0,5.0,1.7\n" * 3


def packed_bodies() -> Iterator[HostileBody]:
    for name, (media, make, model) in _BOMBS.items():
        yield _packed("bombs", f"gzip: {name}", media, partial(_bomb, make, _gzip), "gzip", model)
    for name in ("a row of cells", "rows of one cell", "a text", "csv: short rows"):
        media, make, model = _BOMBS[name]
        yield _packed("bombs", f"zstd: {name}", media, partial(_bomb, make, zstandard.compress), "zstd", model)
        yield _packed("bombs", f"deflate: {name}", media, partial(_bomb, make, zlib.compress), "deflate", model)
    for name, (coding, make) in _STREAMS.items():
        yield _packed("packed", name, CSV, make, coding, "iris")


def _packed(kind: str, name: str, media: str, make: Callable[[], bytes], coding: str, model: str) -> HostileBody:
    return HostileBody(kind, name, media, make, model, {"Content-Encoding": coding})


def _bomb(make: Callable[[], bytes], pack: Callable[[bytes], bytes]) -> bytes:
    return pack(make())


def _filled(start: bytes, part: bytes, end: bytes) -> bytes:
    """The part repeated until all is as large as a bomb becomes."""
    return start + part * ((UNPACKED - len(start) - len(end)) // len(part)) + end


_gzip: Callable[[bytes], bytes] = partial(gzip.compress, compresslevel=1, mtime=0)


def _wide_header() -> bytes:
    return b",".join(b"c%d" % i for i in range(6000)) + b"\n"


_BOMBS: dict[str, tuple[str, Callable[[], bytes], str]] = {
    "a row of cells": (JSON, lambda: _filled(b'{"dataframe_split":{"data":[[', b"1,", b"1]]}}"), "iris"),
    "rows of one cell": (JSON, lambda: _filled(b'{"dataframe_split":{"data":[', b"[1],", b"[1]]}}"), "iris"),
    "rows of four cells": (JSON, lambda: _filled(b'{"dataframe_split":{"data":[', b"[1,2,3,4],", b"[1,2,3,4]]}}"), "iris"),
    "a long row, then short ones": (
        JSON, lambda: _filled(b'{"dataframe_split":{"data":[[' + b"1," * 30_000 + b"1],", b"[1],", b"[1]]}}"), "iris",
    ),
    "records of one key": (JSON, lambda: _filled(b'{"dataframe_records":[', b'{"a":1},', b"{}]}"), "iris"),
    "empty records": (JSON, lambda: _filled(b'{"dataframe_records":[', b"{},", b"{}]}"), "echo"),
    "keys of one name": (JSON, lambda: _filled(b'{"dataframe_records":[{', b'"a":1,', b'"a":1}]}'), "iris"),
    "tensor rows": (JSON, lambda: _filled(b'{"inputs":[', b"[1,2,3],", b"[1,2,3]]}"), "tensor"),
    "empty tensor rows": (JSON, lambda: _filled(b'{"inputs":[', b"[],", b"[]]}"), "tensor"),
    "a text": (JSON, lambda: _filled(b'{"inputs":["', b"some words ", b'"]}'), "words"),
    "a text beside empty ones": (
        JSON, lambda: _filled(b'{"inputs":{"x":["', b"a", b'"' + b',""' * 5000 + b"]}}"), "iris",
    ),
    "short texts": (JSON, lambda: _filled(b'{"inputs":[', b'"a",', b'"a"]}'), "words"),
    "nulls": (JSON, lambda: _filled(b'{"dataframe_split":{"data":[', b"[null,null,null,null],", b"[1,2,3,4]]}}"), "iris"),
    "an integer": (JSON, lambda: _filled(b'{"inputs":[[', b"9", b"]]}"), "tensor"),
    "lists in lists": (JSON, lambda: b"[" * UNPACKED, "iris"),
    "blanks": (JSON, lambda: _filled(b"", b" ", b"{}"), "iris"),
    "NaN words": (JSON, lambda: _filled(b'{"dataframe_split":{"data":[', b"[NaN],", b"[1]]}}"), "iris"),
    "csv: equal names": (CSV, lambda: _filled(b"", b"c,", b"c"), "iris"),
    "csv: short rows": (CSV, lambda: _filled(_HEADER, b"1\n", b""), "iris"),
    "csv: short rows under a wide header": (CSV, lambda: _filled(_wide_header(), b"1\n", b""), "iris"),
    "csv: empty lines": (CSV, lambda: _filled(_HEADER, b"\n", b""), "iris"),
    "csv: good rows": (CSV, lambda: _filled(_HEADER, b"1,2,3,4\n", b""), "iris"),
    "csv: commas": (CSV, lambda: _filled(b"a,b\n", b",", b""), "iris"),
    "csv: a quote never closed": (CSV, lambda: _filled(_HEADER + b'"', b"1,2\n", b""), "iris"),
    "csv: quotes": (CSV, lambda: _filled(_HEADER, b'"', b""), "iris"),
    "csv: a name and rows": (CSV, lambda: _filled(b"a\n", b"1\n", b""), "echo"),
}  # fmt: skip


def _beyond() -> bytes:
    """Far more than any limit, from few bytes: equal members, one after the other."""
    return gzip.compress(bytes(64 * 1024 * 1024), 9, mtime=0) * (_BEYOND // (64 * 1024 * 1024))


def _one_beyond() -> bytes:
    """One member of far more than any limit."""
    packer, part = zlib.compressobj(1, zlib.DEFLATED, 31), bytes(64 * 1024 * 1024)
    return b"".join(packer.compress(part) for _ in range(4)) + packer.flush()


def _times(coding: Callable[[bytes], bytes], times: int, body: bytes) -> bytes:
    for _ in range(times):
        body = coding(body)
    return body


def _twice() -> bytes:
    """Each gzip takes what the other makes a thousand times smaller."""
    return gzip.compress(gzip.compress(bytes(UNPACKED), 9, mtime=0), 9, mtime=0)


def _raw_deflate() -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return packer.compress(_PLAIN) + packer.flush()


def _zstd_frames(count: int) -> bytes:
    return zstandard.compress(_PLAIN) + zstandard.compress(b"1,2,3,4\n") * count


def _skippable(count: int, size: int) -> bytes:
    return (struct.pack("<II", 0x184D2A50, size) + bytes(size)) * count + zstandard.compress(_PLAIN)


def _huge_window() -> bytes:
    """A frame that says that whoever reads it needs two gigabytes: magic, no size, window descriptor, an empty block."""
    return struct.pack("<IBB", 0xFD2FB528, 0x00, 21 << 3) + b"\x01\x00\x00"


def _promised(size: int) -> bytes:
    """A frame of a single segment that promises this size and brings one byte."""
    return struct.pack("<IBQ", 0xFD2FB528, 0xE0, size) + (1 | 1 << 3).to_bytes(3, "little") + b"a"


def _zstd_zeros(size: int) -> bytes:
    return zstandard.ZstdCompressor(level=1).compress(bytes(size))


_STREAMS: dict[str, tuple[str, Callable[[], bytes]]] = {
    "gzip, 3 GB in members": ("gzip", _beyond),
    "gzip, 256 MB in one member": ("gzip", _one_beyond),
    "gzip, 100k members": ("gzip", lambda: gzip.compress(_PLAIN, mtime=0) + gzip.compress(b"1,2,3,4\n", mtime=0) * 100_000),
    "gzip, 150k empty members": ("gzip", lambda: gzip.compress(_PLAIN, mtime=0) + gzip.compress(b"", mtime=0) * 150_000),
    "gzip, junk after a member": ("gzip", lambda: gzip.compress(_PLAIN, mtime=0) + b"junk" * 500_000),
    "gzip, zeros after a member": ("gzip", lambda: gzip.compress(_PLAIN, mtime=0) + bytes(4_000_000)),
    "gzip, cut": ("gzip", lambda: gzip.compress(_PLAIN * 10_000, mtime=0)[:-9]),
    "gzip, a wrong sum": ("gzip", lambda: gzip.compress(_PLAIN, mtime=0)[:-8] + bytes(8)),
    "gzip, a file name of 4 MB": ("gzip", lambda: b"\x1f\x8b\x08\x08" + bytes(6) + b"n" * 4_000_000 + b"\0" + _raw_deflate()),
    "gzip that is none": ("gzip", lambda: _PLAIN),
    "gzip in gzip": ("gzip, gzip", _twice),
    "gzip ten times": (", ".join(["gzip"] * 10), lambda: _times(_gzip, 10, _PLAIN * 100_000)),
    "gzip a thousand times": (", ".join(["gzip"] * 1000), lambda: _times(_gzip, 30, _PLAIN)),
    "gzip in zstd": ("gzip, zstd", lambda: zstandard.compress(_gzip(bytes(UNPACKED)))),
    "identity a thousand times": (", ".join(["identity"] * 1000), lambda: _PLAIN * 80_000),
    "codings without names": ("," * 5000, lambda: _PLAIN),
    "an unknown coding": ("br", lambda: _PLAIN),
    "deflate, raw": ("deflate", _raw_deflate),
    "deflate, cut": ("deflate", lambda: zlib.compress(_PLAIN * 10_000)[:-5]),
    "deflate, junk after it": ("deflate", lambda: zlib.compress(_PLAIN) + b"junk" * 1_000_000),
    "zstd, 100k frames": ("zstd", lambda: _zstd_frames(100_000)),
    "zstd, 400k empty frames": ("zstd", lambda: zstandard.compress(_PLAIN) + zstandard.compress(b"") * 400_000),
    "zstd, 400k skippable frames": ("zstd", lambda: _skippable(400_000, 1)),
    "zstd, a skippable frame beyond the end": ("zstd", lambda: struct.pack("<II", 0x184D2A50, 2**32 - 1) + b"a"),
    "zstd, a window of 2 GB": ("zstd", _huge_window),
    "zstd, 2^60 bytes promised": ("zstd", lambda: _promised(2**60)),
    "zstd, 256 MB of zeros": ("zstd", lambda: _zstd_zeros(256 * 1024 * 1024)),
    "zstd, cut": ("zstd", lambda: zstandard.compress(_PLAIN * 10_000)[:-5]),
    "zstd, junk after a frame": ("zstd", lambda: zstandard.compress(_PLAIN) + b"junk" * 1_000_000),
}  # fmt: skip
