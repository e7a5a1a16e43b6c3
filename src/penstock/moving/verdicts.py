"""What is done with an object of a source, decided from three digests: as it is there, as it was brought over last, and
as it is here. Pure."""

from __future__ import annotations

from typing import Literal, TypeAlias

# new: is not here · update: changed there since, and not here · same: is here as it is there · kept: changed here alone
# · gone: was brought over and removed here · conflict: another one is here, or it changed on both sides.
Verdict: TypeAlias = Literal["new", "update", "same", "kept", "gone", "conflict"]


def verdict(source: bytes, before: bytes | None, here: bytes | None) -> Verdict:
    """`before` is None for what was never brought over from this source, `here` for what is not here."""
    if here is None:
        return "new" if before is None else "gone"
    if here == source:
        return "same"
    if before is None:
        return "conflict"
    if before == source:
        return "kept"
    return "update" if before == here else "conflict"
