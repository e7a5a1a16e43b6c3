"""Whether callers of one version can go on calling another."""

from __future__ import annotations

from penstock.signature.schema import Field, Param, Schema, Signature, TensorField, dtype_name, is_tensor_schema
from penstock.signature.types import Scalar, Type

# A caller's values of the key still fit a column of these types.
_ACCEPTED_BY: dict[Scalar, set[Scalar]] = {
    Scalar.INTEGER: {Scalar.LONG, Scalar.FLOAT, Scalar.DOUBLE},
    Scalar.LONG: {Scalar.DOUBLE},
    Scalar.FLOAT: {Scalar.DOUBLE},
}


def breaking_changes(old: Signature | None, new: Signature | None) -> list[str]:
    """What would break callers of `old` if `new` took its place, in words; empty where nothing would.

    New required inputs, narrower types and other shapes break; so do outputs that are gone or of another type. Without
    a signature on one side nothing can be said.
    """
    if old is None or new is None:
        return []
    return [
        *_side(old.inputs, new.inputs, outgoing=False),
        *_side(old.outputs, new.outputs, outgoing=True),
        *_params(old, new),
    ]


def _params(old: Signature, new: Signature) -> list[str]:
    after = {p.name: p for p in new.params}
    breaks = []
    for a in old.params:
        b = after.get(a.name)
        if b is None:
            breaks.append(f"param {a.name!r} is removed")
        elif not _fits(a.type, b.type, outgoing=False):
            breaks.append(f"param {a.name!r} changes from {a.type} to {b.type}")
        elif (a.shape is None) != (b.shape is None):
            breaks.append(f"param {a.name!r} changes from a {_form(a)} to a {_form(b)}")
    return breaks


def _form(param: Param) -> str:
    return "single value" if param.shape is None else "list"


def _side(old: Schema | None, new: Schema | None, *, outgoing: bool) -> list[str]:
    side = "output" if outgoing else "input"
    if old is None or new is None:
        return []
    if is_tensor_schema(old) or is_tensor_schema(new):
        if not (is_tensor_schema(old) and is_tensor_schema(new)):
            return [f"{side}s change between columns and tensors"]
        return _tensors(old, new, side)
    return _columns(old, new, side, outgoing)  # type: ignore[arg-type]


def _columns(old: tuple[Field, ...], new: tuple[Field, ...], side: str, outgoing: bool) -> list[str]:
    if (old[0].name is None) != (new[0].name is None):
        return [f"{side} columns {'gain' if old[0].name is None else 'lose'} their names"]
    if old[0].name is None:
        if len(old) != len(new):
            return [f"{side}s change from {len(old)} to {len(new)} columns"]
        pairs = list(zip(old, new, strict=True))
        added: list[Field] = []
        gone: list[Field] = []
    else:
        before = {f.name: f for f in old}
        after = {f.name: f for f in new}
        pairs = [(before[n], after[n]) for n in before if n in after]
        added = [f for n, f in after.items() if n not in before]
        gone = [f for n, f in before.items() if n not in after]
    breaks = [
        f"{side} {_label(a)} changes from {a.type} to {b.type}" for a, b in pairs if not _fits(a.type, b.type, outgoing)
    ]
    if outgoing:
        return breaks + [f"output {_label(f)} is removed" for f in gone]
    breaks += [_epoch_change(a, b) for a, b in pairs if a.epoch and a.epoch != b.epoch]
    breaks += [f"input {_label(b)} becomes required" for a, b in pairs if b.required and not a.required]
    return breaks + [f"new required input {_label(f)}" for f in added if f.required]


def _epoch_change(old: Field, new: Field) -> str:
    told = f"{new.epoch} since 1970" if new.epoch else "not taken"
    return f"numbers in input {_label(old)} change from {old.epoch} since 1970 to {told}"


def _fits(old: Type, new: Type, outgoing: bool) -> bool:
    if old == new:
        return True
    return not outgoing and isinstance(old, Scalar) and new in _ACCEPTED_BY.get(old, ())


def _tensors(old: tuple[TensorField, ...], new: tuple[TensorField, ...], side: str) -> list[str]:
    before = {f.name: f for f in old}
    after = {f.name: f for f in new}
    breaks = [f"{side} {_label(f)} is removed" for n, f in before.items() if n not in after]
    if side == "input":
        breaks += [f"new required input {_label(f)}" for n, f in after.items() if n not in before]
    for name in before.keys() & after.keys():
        a, b = before[name], after[name]
        # What is sent must be among what is taken: callers send by the old inputs, models answer by the new outputs.
        sent, taken = (a, b) if side == "input" else (b, a)
        shapes = len(a.shape) == len(b.shape) and all(
            want in (-1, got) for want, got in zip(taken.shape, sent.shape, strict=True)
        )
        if dtype_name(a.dtype) != dtype_name(b.dtype) or not shapes:
            breaks.append(f"{side} {_label(a)} changes to {b}")
    return sorted(breaks)


def _label(field: Field | TensorField) -> str:
    return "(unnamed)" if field.name is None else repr(field.name)
