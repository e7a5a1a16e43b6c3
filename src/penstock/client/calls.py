"""One call of a client's method: the tries that it takes, until an answer comes or its time is over."""

from __future__ import annotations

import math
import random
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlsplit

from penstock.client.exchange import Ask, GatewayReply, Outcome, Pause, Steps, ask
from penstock.client.outcomes import error_of_outcome, late
from penstock.client.retries import pause_before_retry
from penstock.errors import ConfigError
from penstock.payload import shortened

# The server is told to give up so much earlier than this side does, in parts of the time and in seconds: it says best
# why it is late.
_EARLIER = 0.1
_MOST_EARLIER = 1.0


@dataclass(frozen=True, slots=True)
class Call:
    """Until when (by the clock) its answer is of use, the id that the server's log has it under, and the model, None
    for the server's default."""

    until: float
    request_id: str
    model: str | None = None

    def path(self, what: str) -> str:
        return f"/{what}" if self.model is None else f"/models/{quote(self.model, safe='')}/{what}"


class Line:
    """What every question to one gateway needs. `timeout` is the seconds that a call may take with all its tries,
    `retries` how many more tries there are after the first, `repeat` whether a request that may have been executed can
    be sent again. Raises ConfigError for what these cannot be."""

    def __init__(
        self,
        url: str,
        token: str | None = None,
        *,
        timeout: float = 60.0,
        retries: int = 5,
        repeat: bool = True,
        clock: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self.url = _checked_url(url)
        self.chance = chance
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._timeout = _checked_timeout(timeout)
        self._retries = _checked_retries(retries)
        self._repeat = repeat
        self._clock = clock
        # The whole mutable state: how many requests were sent, and how many of them again.
        self.sent = self.retried = 0

    def call(self, timeout: float | None = None, model: str | None = None, request_id: str | None = None) -> Call:
        """A call that begins now. Raises ConfigError."""
        seconds = self._timeout if timeout is None else _checked_timeout(timeout)
        return Call(self._clock() + seconds, request_id or secrets.token_hex(8), model)

    def left(self, call: Call) -> float:
        """The seconds that a call has left."""
        return call.until - self._clock()

    def once(self, call: Call, path: str) -> Steps[Outcome]:
        """What one GET comes to, whatever that is."""
        self.sent += 1
        return ask(Ask("GET", path, max(self.left(call), _SHORTEST), self._headers))

    def get(self, call: Call, path: str) -> Steps[GatewayReply]:
        """The answer to a GET. Raises GatewayError."""
        return self._answer(call, "GET", path, {}, b"")

    def post(self, call: Call, path: str, headers: Mapping[str, str], body: bytes) -> Steps[GatewayReply]:
        """The answer to a POST. Raises GatewayError."""
        return self._answer(call, "POST", path, headers, body)

    def _answer(
        self, call: Call, method: str, path: str, headers: Mapping[str, str], body: bytes
    ) -> Steps[GatewayReply]:
        """The answer with status 200, after as many tries as it takes. Raises GatewayError."""
        tries = 0
        while (left := self.left(call)) > 0:
            allowed = left - min(left * _EARLIER, _MOST_EARLIER)
            own = {"X-Request-Id": call.request_id, "X-Request-Timeout": f"{allowed:.6f}"}
            self.sent += 1
            outcome = yield from ask(Ask(method, path, left, {**self._headers, **own, **headers}, body))
            tries += 1
            if isinstance(outcome, GatewayReply) and outcome.status == 200:
                return outcome
            pause = pause_before_retry(
                outcome, tries, self.left(call), self.chance(), retries=self._retries, repeat=self._repeat
            )
            if pause is None:
                raise error_of_outcome(outcome, self.url, call.request_id, tries)
            self.retried += 1
            yield Pause(pause)
        raise late(self.url, call.request_id, tries)

    def __repr__(self) -> str:
        return f"<Line to {self.url}, {self.sent} requests, {self.retried} of them again>"


# A question whose time is over is asked all the same, and waits for no longer than this.
_SHORTEST = 0.001


def _checked_url(url: str) -> str:
    """Raises ConfigError."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise ConfigError(
            f"{shortened(url)} is no URL of a server.", hint="Give one that begins with http:// or https://."
        )
    if parts.query or parts.fragment or parts.path.rstrip("/").endswith("/invocations"):
        raise ConfigError(
            f"{shortened(url)} is the URL of one request, not of a server.",
            hint="Give the part before /invocations or /models, and the model's name to predict().",
        )
    return url.rstrip("/")


def _checked_timeout(seconds: float) -> float:
    """Raises ConfigError."""
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not 0 < seconds < math.inf:
        raise ConfigError(f"timeout must be a number of seconds above 0, not {shortened(seconds)}.")
    return float(seconds)


def _checked_retries(number: Any) -> int:
    """Raises ConfigError."""
    if isinstance(number, bool) or not isinstance(number, int) or number < 0:
        raise ConfigError(f"retries must be a number of tries, 0 for none, not {shortened(number)}.")
    return number
