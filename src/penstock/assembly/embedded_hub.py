"""A hub without a port: programs that log to a store in their own process ask it as they would ask a server."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterable, Iterator, Mapping, MutableMapping
from typing import Any
from urllib.parse import unquote

from penstock.assembly.hub import HubOptions, open_stores
from penstock.hub.access.gate import HubGate
from penstock.hub.app import HubApp
from penstock.hub.handlers.table import ROUTES
from penstock.hub.service import Hub
from penstock.metrics import HubMetrics


class EmbeddedHub:
    """Over a store and a place for files, with an event loop in a thread of its own. It asks for no tokens: whoever can
    open the files of the store needs none. Raises what opening the store raises."""

    def __init__(self, store: str, artifacts: str) -> None:
        gate = HubGate(asks_for_tokens=False)
        options = HubOptions(store, artifacts, open_to_everybody=True)
        self._hub = Hub(lambda: open_stores(options), gate, HubMetrics(), open_to_everybody=True)
        self._app = HubApp(ROUTES, self._hub, gate)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="penstock-embedded-hub", daemon=True)
        self._thread.start()
        try:
            self._wait(self._hub.start())
        except BaseException:
            self._end()
            raise

    def ask(
        self, method: str, target: str, headers: Mapping[str, str], body: Iterable[bytes]
    ) -> tuple[int, bytes, str]:
        """Status, body and `Retry-After` of the answer to a request. The body's pieces are read as they are needed."""
        path, _, query = target.partition("?")
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": unquote(path),
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "root_path": "",
            "headers": [(b"host", b"localhost"), *((k.lower().encode(), v.encode()) for k, v in headers.items())],
            "client": ("127.0.0.1", 0),
            "server": ("127.0.0.1", 0),
        }
        answer: tuple[int, bytes, str] = self._wait(self._answered(scope, iter(body)))
        return answer

    def close(self) -> None:
        """What was written is kept; then the store is closed."""
        self._wait(self._hub.close())
        self._end()

    async def _answered(self, scope: dict[str, Any], pieces: Iterator[bytes]) -> tuple[int, bytes, str]:
        start: MutableMapping[str, Any] = {}
        parts: list[bytes] = []
        asked = False

        async def receive() -> MutableMapping[str, Any]:
            nonlocal asked
            if asked:
                await asyncio.Event().wait()  # whoever asks stays until there is an answer
            piece = next(pieces, b"")  # of a file on this machine; nobody else waits for this loop
            asked = not piece
            return {"type": "http.request", "body": piece, "more_body": bool(piece)}

        async def send(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                start.update(message)
            else:
                parts.append(message.get("body", b""))

        await self._app(scope, receive, send)
        headers = dict(start["headers"])
        return start["status"], b"".join(parts), headers.get(b"retry-after", b"").decode()

    def _wait(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def _end(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
