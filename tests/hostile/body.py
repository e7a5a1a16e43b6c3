"""One hostile request: what is sent, to which model, and how it goes onto the wire."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

JSON = "application/json"
CSV = "text/csv"
ARROW = "application/vnd.apache.arrow.stream"
ARROW_FILE = "application/vnd.apache.arrow.file"
PARQUET = "application/vnd.apache.parquet"

# What a client does, step by step: bytes that it sends, seconds that it waits, None where it ends its half of the
# connection.
Steps = Iterator[bytes | float | None]


@dataclass(frozen=True)
class HostileBody:
    """A body that a server must bear. `make` gives the same bytes each time, within about a second.

    `steps` is how a client sends it where that is not simply a head and the body; `answered` says whether the client
    may count on an answer."""

    kind: str
    name: str
    media: str
    make: Callable[[], bytes]
    model: str = "iris"
    headers: Mapping[str, str] = field(default_factory=dict)
    steps: Callable[[HostileBody, bytes], Steps] | None = None
    answered: bool = True

    def sent(self, body: bytes) -> Steps:
        """The steps of a client that sends this body."""
        if self.steps is not None:
            return self.steps(self, body)
        return iter((self.head(f"Content-Length: {len(body)}"), body))

    def head(self, *lines: str) -> bytes:
        """The request's head, with these lines besides its own."""
        own = [f"{name}: {value}" for name, value in {"Content-Type": self.media, **self.headers}.items()]
        start = f"POST /models/{self.model}/invocations HTTP/1.1"
        return "\r\n".join([start, "Host: localhost", *own, *lines, "", ""]).encode()
