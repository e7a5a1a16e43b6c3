"""Errors of our own kinds beside MLflow's, in an answer of our hub: as what they are they arrive at our client.

MLflow's error has a code and a message; ours is beside it in the same object, so that any client reads one of the two.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from penstock.errors import PenstockError, Remedy, SearchInvalid, TrackingInvalid, error_code, error_of

# The key of ours.
TOLD = "penstock"

# What helps, as any registry says it, with the names that its words need. A server may not name other remedies, which
# are commands to run.
_REMEDIES: Mapping[str, frozenset[str]] = {
    "add_model": frozenset({"model"}),
    "allow_breaking": frozenset(),
    "list_models": frozenset(),
    "promote": frozenset({"model", "alias"}),
    "remove_alias": frozenset({"model", "alias"}),
    "show_history": frozenset({"model"}),
    "show_model": frozenset({"model"}),
}

_MAX_TEXT = 20_000


def told_form(error: PenstockError) -> dict[str, Any]:
    """For JSON."""
    form: dict[str, Any] = {"code": error_code(error), "message": error.message, "hint": error.hint}
    if error.remedy is not None and error.remedy.key in _REMEDIES:
        form["remedy"] = {"key": error.remedy.key, "names": dict(error.remedy.names)}
    if isinstance(error, SearchInvalid | TrackingInvalid):
        form["field"] = error.field
    return form


def error_told(answer: Mapping[str, Any]) -> PenstockError | None:
    """The error in an answer; None where there is none of ours."""
    form = answer.get(TOLD)
    if not isinstance(form, dict):
        return None
    code, message, hint = (_text(form, name) for name in ("code", "message", "hint"))
    if code in (SearchInvalid.code, TrackingInvalid.code):
        kind = SearchInvalid if code == SearchInvalid.code else TrackingInvalid
        return kind(message, hint=hint, field=_text(form, "field"))
    error = error_of(code, message, hint)
    error.remedy = _remedy(form.get("remedy"))
    return error


def _remedy(form: object) -> Remedy | None:
    if not isinstance(form, dict):
        return None
    key, names = form.get("key"), form.get("names")
    needed = _REMEDIES.get(key) if isinstance(key, str) else None
    if needed is None or not isinstance(names, dict) or needed != names.keys():
        return None
    return Remedy(str(key), {name: _text(names, name) for name in needed})


def _text(form: Mapping[str, Any], name: str) -> str:
    value = form.get(name)
    return value[:_MAX_TEXT] if isinstance(value, str) else ""
