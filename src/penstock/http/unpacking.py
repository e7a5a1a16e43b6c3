"""Request bodies without their Content-Encoding: gzip, deflate and zstd, within the limit that plain bodies have."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from penstock.errors import MalformedInput, UnsupportedMedia
from penstock.http.bodies import BodyHold, too_large
from penstock.http.headers import Head, header, shown

# Packed bodies up to this size are unpacked on the event loop: a thread would cost more than the work.
_MAX_INLINE = 64 * 1024
_THREADS = 4


class Unpacker:
    """Unpacks bodies, large ones in threads of its own, which whoever made it ends with `close`: the threads that
    everything shares may be waiting for a registry or a store that does not answer."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="penstock-unpack")  # starts none until used

    async def unpack(self, head: Head, body: bytes, limit: int, hold: BodyHold | None = None) -> bytes:
        """The body without its Content-Encoding. Raises UnsupportedMedia, MalformedInput, InputTooLarge beyond `limit`,
        Overloaded where `hold` finds no room for what it has become."""
        encoding = header(head, b"content-encoding")
        if encoding is None:
            return body
        for name in reversed(encoding.decode("latin-1").lower().split(",")):
            unpack = _UNPACKERS.get(name.strip())
            if unpack is None:
                raise UnsupportedMedia(
                    f"Bodies with Content-Encoding {shown(name.strip().encode())} are not supported.",
                    hint=f"Send the body uncompressed, or compressed as "
                    f"{', '.join(n for n in _UNPACKERS if n and n != 'identity')}.",
                )
            packed = len(body)
            if packed <= _MAX_INLINE:
                body = unpack(body, limit)
            else:  # the libraries release the interpreter while they unpack, so the event loop goes on
                body = await asyncio.get_running_loop().run_in_executor(self._threads, unpack, body, limit)
            if hold is not None and len(body) > packed:
                hold.take(len(body) - packed)
        return body

    def close(self) -> None:
        """Ends the threads, once they have finished what they unpack."""
        self._threads.shutdown()


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
