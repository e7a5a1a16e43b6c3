"""`--wait`: asks gateways until each serves a version or refuses it, or the time is up."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias
from urllib.parse import quote, urlsplit

import orjson
import urllib3

from penstock.errors import ConfigError

# How long between two rounds of questions, and how long one may take.
_PAUSE = 0.2
_TIMEOUT = 5.0

# What may be otherwise at the gateway's next try: it is waited for.
_PASSING = frozenset({"registry_unavailable", "worker_lost", "cache_unusable", "closing"})

Outcome: TypeAlias = Literal["serves", "refused", "waiting"]


@dataclass(frozen=True, slots=True)
class Standing:
    """Where one gateway stands: `detail` says it in a sentence."""

    url: str
    outcome: Outcome
    detail: str


def check_urls(urls: Sequence[str]) -> list[str]:
    """The gateways' addresses without a slash at the end. Raises ConfigError."""
    for url in urls:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ConfigError(f"--wait {url} is not a gateway's address.", hint="Write --wait http://host:8080")
    return [url.rstrip("/") for url in urls]


def standing(url: str, version: str, status: int, answer: Any) -> Standing:
    """What the answer to GET /models/NAME means for a wait for this version."""
    if status in (401, 403):
        return Standing(url, "refused", "the gateway rejects the token: set PENSTOCK_API_TOKEN to the gateway's token")
    if status == 404:
        return Standing(url, "waiting", "the gateway does not serve the model")
    if status != 200 or not isinstance(answer, Mapping) or "version" not in answer:
        return Standing(url, "waiting", f"status {status}; this is not a gateway's answer")
    current = answer["version"]
    if current == version:
        if answer.get("in_every_worker", answer.get("settled", True)):  # as older gateways call it
            return Standing(url, "serves", f"version {version} answers")
        return Standing(url, "waiting", f"version {version} is served, but not yet in every worker")
    serves = f"version {current} answers" if current else "no version answers"
    failure = answer.get("failure")
    if isinstance(failure, Mapping) and failure.get("version") == version:
        outcome: Outcome = "waiting" if failure.get("code") in _PASSING else "refused"
        tries = failure.get("attempts", 1)
        times = f" ({tries} tries since {failure.get('since')})" if tries != 1 else ""
        return Standing(
            url, outcome, f"the gateway cannot serve version {version}{times}, {serves}. {failure.get('message')}"
        )
    return Standing(url, "waiting", serves)


class Gateways:
    """Asks gateways about one model. `token` is sent to them and to nobody else: redirects are not followed."""

    def __init__(self, urls: Sequence[str], model: str, token: str) -> None:
        self.urls = urls
        self._path = f"/models/{quote(model, safe='')}"
        self._headers = {"authorization": f"Bearer {token}"} if token else {}
        self._pool = urllib3.PoolManager(maxsize=2, retries=False, timeout=_TIMEOUT)

    def ask(self, version: str) -> list[Standing]:
        """Where each stands now; those that cannot be reached are waited for."""
        with ThreadPoolExecutor(max(1, min(16, len(self.urls)))) as threads:
            return list(threads.map(lambda url: self._ask(url, version), self.urls))

    def _ask(self, url: str, version: str) -> Standing:
        try:
            answer = self._pool.request("GET", url + self._path, headers=self._headers, redirect=False)
        except urllib3.exceptions.HTTPError as error:
            return Standing(url, "waiting", f"the gateway cannot be reached ({type(error).__name__})")
        try:
            body = orjson.loads(answer.data)
        except orjson.JSONDecodeError:
            body = None
        return standing(url, version, answer.status, body)


def wait(
    ask: Callable[[], list[Standing]],
    seconds: float,
    progress: Callable[[list[Standing]], None],
    *,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> list[Standing]:
    """Asks until no gateway is waited for any more, or the seconds are over. Returns where each stands then."""
    deadline = clock() + seconds
    while True:
        standings = ask()
        progress(standings)
        if all(s.outcome != "waiting" for s in standings) or clock() >= deadline:
            return standings
        sleep(min(_PAUSE, max(0.0, deadline - clock())))
