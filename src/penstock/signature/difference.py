"""What one signature has that another has not, field by field, for people who compare versions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from penstock.signature.schema import Field, Param, Schema, Signature, TensorField

Side: TypeAlias = Literal["input", "output", "param"]


@dataclass(frozen=True, slots=True)
class Change:
    """One field. `before` is None where it was added, `after` where it was removed; both say what it is in words."""

    side: Side
    field: str
    before: str | None
    after: str | None

    @property
    def kind(self) -> Literal["added", "removed", "changed"]:
        if self.before is None:
            return "added"
        return "removed" if self.after is None else "changed"


def changes(old: Signature | None, new: Signature | None) -> list[Change]:
    """From `old` to `new`; empty where nothing differs. A missing signature has no fields."""
    old, new = old or Signature(), new or Signature()
    return [
        *_side("input", _fields(old.inputs), _fields(new.inputs)),
        *_side("output", _fields(old.outputs), _fields(new.outputs)),
        *_side("param", _params(old.params), _params(new.params)),
    ]


def _side(side: Side, old: Mapping[str, str], new: Mapping[str, str]) -> list[Change]:
    names = [*old, *(name for name in new if name not in old)]
    return [Change(side, n, old.get(n), new.get(n)) for n in names if old.get(n) != new.get(n)]


def _fields(schema: Schema | None) -> dict[str, str]:
    """Name -> type. Where there are no names, columns and tensors are told apart by their number, from 1."""
    found = {}
    fields: list[Field | TensorField] = [*(schema or ())]
    for number, field in enumerate(fields, start=1):
        kind = "tensor" if isinstance(field, TensorField) else "column"
        label = str(field.name) if field.name is not None else f"{kind} {number}"
        text = str(field)
        found[label] = text.removeprefix(f"{field.name}: ") if field.name is not None else text
    return found


def _params(params: tuple[Param, ...]) -> dict[str, str]:
    return {p.name: f"{p.type}{'' if p.shape is None else ' list'}, default {p.default!r}" for p in params}
