"""Fields of what a server answers. Where one is of another kind than MLflow's, the object that it is of is told, and
the others go on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from penstock.moving.mlflow_database import cells

NO_ID = "(without id)"
_LONGEST_NUMBER = 10


class WrongAnswerError(Exception):
    """Why an answer tells no object: a part of a sentence."""


def text(told: Mapping[str, Any], name: str) -> str:
    """Empty where it is not there."""
    return cells.text(_single(told, name))


def optional_text(told: Mapping[str, Any], name: str) -> str | None:
    return cells.optional_text(_single(told, name))


def inner(told: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = told.get(name)
    if not isinstance(found, dict | None):
        raise WrongAnswerError(f"its {name} are not as MLflow tells them")
    return found or {}


def listed(told: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    found = told.get(name)
    if not isinstance(found, list | None) or not all(isinstance(each, dict) for each in found or ()):
        raise WrongAnswerError(f"its {name} are not as MLflow tells them")
    return found or []


def version_number(told: Mapping[str, Any]) -> int:
    found = text(told, "version")
    if not (found.isascii() and found.isdecimal() and len(found) <= _LONGEST_NUMBER):
        raise WrongAnswerError("its number is none that a version has")
    return int(found)


def shown_id(told: Mapping[str, Any], name: str) -> str:
    """Which one it is, as far as that is told."""
    found = told.get(name)
    return str(found)[:80] if isinstance(found, str | int) and found != "" else NO_ID


def id_in(name: str) -> Callable[[Mapping[str, Any]], object]:
    """Finds the id of an object, or in its `info`; None where it has none."""

    def found(told: Mapping[str, Any]) -> object:
        info = told.get("info")
        at = (info if isinstance(info, dict) else told).get(name)
        return str(at) if isinstance(at, str | int) else None

    return found


def _single(told: Mapping[str, Any], name: str) -> Any:
    found = told.get(name)
    if isinstance(found, dict | list):
        raise WrongAnswerError(f"its {name} is not as MLflow tells it")
    return found
