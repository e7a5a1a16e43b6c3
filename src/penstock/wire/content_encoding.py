"""Bodies without their Content-Encoding: gzip, deflate and zstd, as much as a limit allows.

Pure: whoever calls decides in which thread or process. What comes out is counted while it grows, so that a few bytes
that stand for a gigabyte cost no more than the limit; every gzip member and zstd frame is read, since rows that are
dropped without a word are worse than a refusal.

Source: RFC 9110 (8.4), RFC 1952 (members), RFC 8878 (frames, skippable ones among them).
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Sequence

from penstock.errors import InputTooLarge, MalformedInput, UnsupportedMedia
from penstock.payload import shortened

# Each is one more pass over the body; nobody sends more than two.
MAX_ENCODINGS = 4
# Members and frames may be empty: a body of nothing else would be all work and no rows.
_MAX_PARTS = 65_536
_PIECE = 1 << 20  # unpacked at a time
_LEAST_FED, _MOST_FED = 256, 1 << 16  # bytes given to zlib at a time, which copies what it leaves
# Of zstd: RFC 9659 asks for 8 MiB; `zstd --ultra --long` goes up to this.
_MAX_WINDOW = 1 << 27


def encodings_of(value: str) -> tuple[str, ...]:
    """The encodings that a Content-Encoding header names, in the order in which they are to be undone; "identity" and
    empty names are none. Raises UnsupportedMedia."""
    if value.count(",") > 8 * MAX_ENCODINGS:
        raise _too_many()
    names = [name for item in reversed(value.split(",")) if (name := item.strip().lower()) not in ("", "identity")]
    if len(names) > MAX_ENCODINGS:
        raise _too_many()
    for name in names:
        if name not in _UNPACKERS:
            raise UnsupportedMedia(
                f"Bodies with Content-Encoding {shortened(name)} are not supported.",
                hint="Send the body uncompressed, or compressed as gzip, deflate, zstd.",
            )
    return tuple(names)


def _too_many() -> UnsupportedMedia:
    return UnsupportedMedia(
        f"The body has more than {MAX_ENCODINGS} encodings on top of each other.", hint="Compress the body once."
    )


def unpack(body: bytes, encodings: Sequence[str], limit: int) -> bytes:
    """The body without `encodings`, which `encodings_of` has named. Raises UnsupportedMedia, MalformedInput,
    InputTooLarge where it or anything on the way is longer than `limit` bytes."""
    for name in encodings:
        body = _UNPACKERS[name](body, limit)
    return body


def _too_large(limit: int) -> InputTooLarge:
    return InputTooLarge(
        f"The body unpacks to more than the limit of {limit:,} bytes (max_body_bytes).",
        hint="Send fewer rows in one request.",
    )


def _joined(pieces: Iterable[bytes], limit: int) -> bytes:
    """Raises InputTooLarge as soon as there is more than the limit."""
    found, size = [], 0
    for piece in pieces:
        size += len(piece)
        if size > limit:
            raise _too_large(limit)
        found.append(piece)
    return found[0] if len(found) == 1 else b"".join(found)


def _gzip(body: bytes, limit: int) -> bytes:
    return _joined(_inflated(body, zlib.MAX_WBITS | 16, _MAX_PARTS), limit)


def _deflate(body: bytes, limit: int) -> bytes:
    """In zlib's frame, as HTTP means it."""
    return _joined(_inflated(body, zlib.MAX_WBITS, 1), limit)


def _inflated(body: bytes, wbits: int, parts: int) -> Iterable[bytes]:
    """The contents of one member after the other, a piece at a time."""
    view, at, feed = memoryview(body), 0, _LEAST_FED
    unpacker = zlib.decompressobj(wbits)
    while not unpacker.eof or at < len(view):
        if unpacker.eof:
            parts -= 1
            if not parts:
                raise MalformedInput("The compressed body goes on after its end.")
            unpacker, feed = zlib.decompressobj(wbits), _LEAST_FED
        fed = unpacker.unconsumed_tail or view[at : at + feed]
        at += 0 if unpacker.unconsumed_tail else len(fed)
        feed = min(2 * feed, _MOST_FED)
        try:
            piece = unpacker.decompress(fed, _PIECE)
        except zlib.error as error:
            raise _mismatch(error) from None
        at -= len(unpacker.unused_data)
        if not piece and at == len(view) and not unpacker.eof and not unpacker.unconsumed_tail:
            raise _cut()
        yield piece


def _zstd(body: bytes, limit: int) -> bytes:
    try:
        import zstandard
    except ModuleNotFoundError:
        raise UnsupportedMedia("This server does not support Content-Encoding zstd.", hint="Use gzip.") from None

    def pieces() -> Iterable[bytes]:
        _check_frames(body, limit)
        unpacker = zstandard.ZstdDecompressor(max_window_size=_MAX_WINDOW)
        with unpacker.stream_reader(body, read_across_frames=True) as reader:
            while piece := reader.read(min(_PIECE, limit + 1)):
                yield piece

    try:
        return _joined(pieces(), limit)
    except zstandard.ZstdError as error:
        raise _mismatch(error) from None


def _check_frames(body: bytes, limit: int) -> None:
    """The library says neither that a frame is cut nor that bytes follow the last one: so its blocks are counted
    through by their lengths. Raises MalformedInput, InputTooLarge where a frame says itself that it is too long."""
    import zstandard

    at, parts = 0, 0
    while at < len(body) or not parts:
        parts += 1
        if parts > _MAX_PARTS:
            raise MalformedInput(f"The compressed body has more than {_MAX_PARTS:,} parts.")
        if body[at + 1 : at + 4] == b"\x2a\x4d\x18" and 0x50 <= body[at] <= 0x5F:  # to be skipped
            at += 8 + int.from_bytes(body[at + 4 : at + 8], "little")
        else:
            head = body[at : at + 18]
            if len(head) < 5:
                raise _cut()
            frame = zstandard.get_frame_parameters(head)
            if frame.content_size not in (0, zstandard.CONTENTSIZE_UNKNOWN) and frame.content_size > limit:
                raise _too_large(limit)
            at = _behind_blocks(body, at + zstandard.frame_header_size(head)) + 4 * frame.has_checksum
        if at > len(body):
            raise _cut()


def _behind_blocks(body: bytes, at: int) -> int:
    last = 0
    while not last:
        block = int.from_bytes(body[at : at + 3], "little")
        if at + 3 > len(body):
            raise _cut()
        last = block & 1
        at += 3 + (1 if block >> 1 & 3 == 1 else block >> 3)  # kind 1 is one byte, repeated
    return at


def _mismatch(error: Exception) -> MalformedInput:
    return MalformedInput(f"The body does not match its Content-Encoding: {error}.")


def _cut() -> MalformedInput:
    return MalformedInput("The compressed body is truncated.")


_UNPACKERS: dict[str, Callable[[bytes, int], bytes]] = {
    "gzip": _gzip,
    "x-gzip": _gzip,
    "deflate": _deflate,
    "zstd": _zstd,
}
