"""Bodies without their Content-Encoding: gzip, deflate and zstd, within a limit."""

from __future__ import annotations

import zlib
from collections.abc import Callable

from penstock.errors import InputTooLarge, MalformedInput, UnsupportedMedia
from penstock.payload import shortened


def encodings_of(value: bytes | None) -> tuple[str, ...]:
    """The encodings of a Content-Encoding header, in the order in which they were applied. Raises UnsupportedMedia."""
    if value is None:
        return ()
    names = tuple(name.strip() for name in value.decode("latin-1").lower().split(","))
    for name in names:
        if name not in _UNPACKERS:
            raise UnsupportedMedia(
                f"Bodies with Content-Encoding {shortened(name)} are not supported.",
                hint=f"Send the body uncompressed, or compressed as "
                f"{', '.join(n for n in _UNPACKERS if n and n != 'identity')}.",
            )
    return tuple(name for name in names if name not in ("", "identity"))


def unpack(body: bytes, encodings: tuple[str, ...], limit: int) -> bytes:
    """The plain body. Raises MalformedInput, InputTooLarge beyond `limit` bytes, UnsupportedMedia."""
    for name in reversed(encodings):
        body = _UNPACKERS[name](body, limit)
    return body


def too_large(limit: int) -> InputTooLarge:
    """The refusal of a body of more than `limit` bytes."""
    return InputTooLarge(
        f"The body is larger than the limit of {limit:,} bytes.", hint="Send fewer rows in one request."
    )


def _zlib(wbits: int) -> Callable[[bytes, int], bytes]:
    def unpack(body: bytes, limit: int) -> bytes:
        unpacker = zlib.decompressobj(wbits)
        try:
            plain = unpacker.decompress(body, limit + 1)
        except zlib.error as error:
            raise MalformedInput(f"The body does not match its Content-Encoding: {error}.") from None
        if len(plain) > limit:
            raise too_large(limit)
        if not unpacker.eof:
            raise MalformedInput("The compressed body is truncated.")
        return plain

    return unpack


def _zstd(body: bytes, limit: int) -> bytes:
    try:
        import zstandard
    except ModuleNotFoundError:
        raise UnsupportedMedia("This server does not support Content-Encoding zstd.", hint="Use gzip.") from None
    try:
        with zstandard.ZstdDecompressor(max_window_size=1 << 27).stream_reader(body) as reader:
            plain: bytes = reader.read(limit + 1)
    except zstandard.ZstdError as error:
        raise MalformedInput(f"The body does not match its Content-Encoding: {error}.") from None
    if len(plain) > limit:
        raise too_large(limit)
    return plain


def _plain(body: bytes, limit: int) -> bytes:
    return body


_UNPACKERS: dict[str, Callable[[bytes, int], bytes]] = {
    "": _plain,
    "identity": _plain,
    "gzip": _zlib(zlib.MAX_WBITS | 16),
    "x-gzip": _zlib(zlib.MAX_WBITS | 16),
    "deflate": _zlib(zlib.MAX_WBITS),
    "zstd": _zstd,
}
