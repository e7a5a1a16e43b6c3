"""What keeps a version that is wanted from answering."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LoadFailure:
    """Why the version that is wanted does not answer. `code` is that of the error's class; `since` is when it failed
    first, in seconds since 1970; `attempts` counts the tries; `final` says that there will be no other."""

    version: str
    code: str
    message: str
    since: float
    attempts: int
    final: bool = False
