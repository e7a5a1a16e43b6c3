"""What `penstock doctor` says of one subject."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Literal

State = Literal["ok", "look", "fails"]
OK: State = "ok"
LOOK: State = "look"
FAILS: State = "fails"


@dataclass(frozen=True, slots=True)
class Finding:
    """`what` was looked at and what was `found`; `advice` says what to change, where something should be."""

    state: State
    what: str
    found: str
    advice: str = ""

    def plain(self) -> dict[str, str]:
        return asdict(self)
