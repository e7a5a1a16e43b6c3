"""`penstock.Client`: asks a gateway, and waits."""

from __future__ import annotations

import time
from types import TracebackType
from typing import TYPE_CHECKING, Any

from penstock.client.blocking import BlockingCalls
from penstock.client.calls import Line
from penstock.client.exchange import Ask, GatewayReply, Lost, Outcome
from penstock.client.http import keep_alive_limits, lost, need_httpx, timeouts
from penstock.errors import Closing

if TYPE_CHECKING:
    import httpx


class Client(BlockingCalls):
    """Asks a gateway for predictions. Connections are kept; threads may share one client; `with` closes it.

        with penstock.Client("http://localhost:8080") as client:
            frame["score"] = client.predict(frame)

    `token` is the server's. `timeout` is the seconds that a call may take, tries and all; the server is told, and drops
    what would be late. `retries` is how many more tries there are after the first, where the server is busy, loads or
    cannot be reached. A prediction changes nothing, so that a request is sent again also where its connection was lost
    and it may have been executed; with `repeat_lost=False` that is an error. `http_client` is an httpx.Client of your
    own, for certificates, proxies and tests; it is not closed with this one.

    Raises ConfigError for what these cannot be, and DependencyMissing where httpx is not installed.
    """

    def __init__(
        self,
        url: str,
        *,
        token: str | None = None,
        timeout: float = 60.0,
        retries: int = 5,
        repeat_lost: bool = True,
        http_client: httpx.Client | None = None,
    ) -> None:
        need_httpx()
        import httpx

        super().__init__(Line(url, token, timeout=timeout, retries=retries, repeat=repeat_lost))
        self._owned = None if http_client is not None else httpx.Client(limits=keep_alive_limits())
        self._http = http_client or self._owned

    def close(self) -> None:
        """Closes the connections; may be called again."""
        if self._owned is not None:
            self._owned.close()
        self._http = None

    def _send(self, question: Ask) -> Outcome:
        import httpx

        if self._http is None:
            raise Closing("The client is closed.", hint="Make another one, or ask inside its with statement.")
        until, url = time.monotonic() + question.seconds, self._conversation.line.url + question.path
        told: dict[str, Any] = {"headers": question.headers, "content": question.body, "timeout": timeouts(question)}
        try:
            with self._http.stream(question.method, url, **told) as response:
                parts = []
                for part in response.iter_bytes():
                    parts.append(part)
                    if time.monotonic() > until:  # httpx bounds the time of each part alone
                        return Lost("its answer takes too long", sent=True, late=True)
                return GatewayReply(response.status_code, response.headers, b"".join(parts))
        except httpx.RequestError as error:
            return lost(error, late=time.monotonic() >= until)

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        line = self._conversation.line
        state = ", closed" if self._http is None else ""
        return f"<Client of {line.url}, {line.sent} requests, {line.retried} of them again{state}>"
