"""One hostile package: what is written, and what may become of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

REFUSED = "refused"
SERVED = "served"


@dataclass(frozen=True)
class HostilePackage:
    """A package that a gateway must bear without `--trust-code`. `make` writes it into a directory that does not exist
    yet, in about a second.

    `outcomes` are what may become of it: that it is refused, that it is served, or either. `quick` says that a look
    (at manifest, kind, requirements and example) tells, without loading it. `body` is sent to it where it is served; what
    it answers is its own affair."""

    kind: str
    name: str
    make: Callable[[Path], None]
    outcomes: frozenset[str] = frozenset({REFUSED})
    quick: bool = False
    body: bytes = b'{"inputs": [[5.1, 3.5, 1.4, 0.2]]}'


EITHER = frozenset({REFUSED, SERVED})
