"""What a conversation with a gateway is made of: steps that somebody carries out, and what comes of them."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Ask:
    """Send this request. `path` comes after the gateway's URL; the answer is of no use after `seconds`."""

    method: str
    path: str
    seconds: float
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Pause:
    """Wait."""

    seconds: float


@dataclass(frozen=True, slots=True)
class InTurn:
    """Carry these steps out while nobody else carries out those of the same key; wait `seconds` for that at most."""

    key: str
    steps: Steps[None]
    seconds: float


@dataclass(frozen=True, slots=True)
class GatewayReply:
    """An answer came. Names of headers may be looked up in any case."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Lost:
    """No answer came. `sent` is whether the request may have been executed all the same, `late` whether the time for
    it is over."""

    reason: str
    sent: bool = False
    late: bool = False


# Each step is answered with an outcome, where it was to Ask, and with None otherwise.
Outcome: TypeAlias = GatewayReply | Lost
Step: TypeAlias = Ask | Pause | InTurn
Steps: TypeAlias = Generator[Step, Any, T]


def ask(question: Ask) -> Steps[Outcome]:
    """The outcome of one request."""
    outcome = yield question
    assert isinstance(outcome, (GatewayReply, Lost))
    return outcome
