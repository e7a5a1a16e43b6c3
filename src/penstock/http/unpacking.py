"""Request bodies without their Content-Encoding, within the limit that plain bodies have: large ones in threads."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

from penstock.http.bodies import BodyHold
from penstock.http.headers import Head, header
from penstock.wire.content_encoding import encodings_of, unpack

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
        for name in encodings_of(encoding.decode("latin-1")):
            packed = len(body)
            if packed <= _MAX_INLINE:
                body = unpack(body, (name,), limit)
            else:  # the libraries release the interpreter while they unpack, so the event loop goes on
                loop = asyncio.get_running_loop()
                body = await loop.run_in_executor(self._threads, unpack, body, (name,), limit)
            if hold is not None and len(body) > packed:
                hold.take(len(body) - packed)
        return body

    def close(self) -> None:
        """Ends the threads, once they have finished what they unpack."""
        self._threads.shutdown()
