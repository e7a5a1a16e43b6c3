"""The contract of what carries a request to who answers it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import BinaryIO, NamedTuple, Union

ExchangeBody = Union[bytes, BinaryIO, None]


class Exchanged(NamedTuple):
    """An answer; `retry_after` is the header's text."""

    status: int
    body: bytes
    retry_after: str = ""


class ExchangeLimits(NamedTuple):
    """What an answer may take: in bytes, and in seconds from the request on, with so many more for each byte that comes
    or goes."""

    size: int
    seconds: float
    seconds_per_byte: float = 0.0


class Exchange(ABC):
    """Safe to use from several threads."""

    pace = 1.0  # see TrackingTransport

    @property
    @abstractmethod
    def place(self) -> str:
        """Names who answers to people, without credentials."""

    @abstractmethod
    def ask(
        self,
        method: str,
        path: str,
        body: ExchangeBody,
        headers: dict[str, str],
        limits: ExchangeLimits,
        *,
        again: bool = True,
    ) -> Exchanged:
        """`again`: where a connection turns out to be closed, the request may be made a second time on a new one.
        Raises TrackingUnavailable where there is no answer, or none within `limits`."""

    @abstractmethod
    def close(self) -> None:
        """What was opened for it."""
