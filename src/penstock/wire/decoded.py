"""A body as read, whatever format it came in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from penstock.payload import Payload
from penstock.signature import Casting


@dataclass(frozen=True, slots=True)
class Decoded:
    """A body as read: the payload, not yet conformed; params as sent; how forgiving to be with its cells.

    `wrapped` is whether the answer goes under a "predictions" key.
    """

    payload: Payload
    params: Any
    casting: Casting
    wrapped: bool = True
