"""What is told of an answered request to the hub: numbers for the metrics, a record for the access log."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter, time
from typing import Any

from penstock.access.principal import Principal
from penstock.hub.routes import HubRoute
from penstock.metrics import HubMetrics


@dataclass(frozen=True, slots=True)
class HubRequestEvent:
    """`ended` is the time of day, seconds since 1970; `seconds` from the head on. `caller` is the token's name;
    `request_id` is what the answer has as X-Request-Id."""

    method: str
    path: str
    status: int
    ended: float
    seconds: float
    caller: str
    client: str
    request_id: str

    def fields(self) -> dict[str, Any]:
        """What the access log writes of it."""
        return {
            "method": self.method,
            "path": self.path,
            "status": self.status,
            "seconds": round(self.seconds, 6),
            "caller": self.caller,
            "client": self.client,
            "request_id": self.request_id,
        }


class HubRequestLog:
    """Counts every request, and tells `observe` of it, if anybody."""

    def __init__(self, metrics: HubMetrics, observe: Callable[[HubRequestEvent], None] | None = None) -> None:
        self._metrics = metrics
        self._observe = observe

    def add(
        self,
        method: str,
        path: str,
        route: HubRoute | None,
        status: int,
        began: float,
        caller: Principal,
        client: str,
        number: bytes,
    ) -> None:
        """`began` is when the head came, of `perf_counter`; `number` is the request's id."""
        seconds = perf_counter() - began
        self._metrics.request("" if route is None else route.path, status, seconds)
        if self._observe is not None:
            told = (method, path, status, time(), seconds, caller.name, client)
            self._observe(HubRequestEvent(*told, number.decode()))
