"""The root of the tree, and what helps against an error."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from penstock.error_text import encodable


@dataclass(frozen=True)
class Remedy:
    """What helps against an error: a key that each surface words in its own way, and the names that its words need."""

    key: str
    names: Mapping[str, str] = field(default_factory=dict)


def remedy(key: str, **names: str) -> Remedy:
    """`remedy("promote", model="iris", alias="production")`: the keys are those of `cli/remedies.py`."""
    return Remedy(key, names)


class PenstockError(Exception):
    """Root of the tree. `message` is one sentence for a person; `hint`, where there is one, says what to do next, and
    `remedy` which of a surface's own words say it better there. Both texts can be encoded, whatever they repeat."""

    code: ClassVar[str] = "internal"

    def __init__(self, message: str, *, hint: str = "", remedy: Remedy | None = None) -> None:
        self.message = encodable(message)
        self.hint = encodable(hint)
        super().__init__(self.message)
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".rstrip()

    def __reduce__(self) -> tuple[object, ...]:
        """Errors travel between processes with everything they hold."""
        return (_rebuilt, (type(self), self.args, self.__dict__))


def _rebuilt(kind: type[PenstockError], args: tuple[object, ...], state: dict[str, object]) -> PenstockError:
    error = kind.__new__(kind)
    error.args = args
    error.__dict__.update(state)
    return error
