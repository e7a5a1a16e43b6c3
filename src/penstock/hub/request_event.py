"""The record of an answered request to the hub, for the access log."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


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
