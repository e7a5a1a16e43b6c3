"""What a hub's own REST says of models, versions, moves and changes, as ours. Pure.

Answers may be of any form: whoever calls these translates KeyError, TypeError, ValueError and AttributeError. Fields
that a newer hub has besides are passed over.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from datetime import UTC, datetime
from typing import Any

from penstock.registry.entries import ModelChange, ModelVersion, NewVersion, RegisteredModel
from penstock.registry.history import AliasMove

Form = Mapping[str, Any]

# The root of the hub's artifacts, as its clients name it: the hub's own directory or bucket is its own business.
ARTIFACTS = "mlflow-artifacts:"


def model_of(form: Form) -> RegisteredModel:
    given = _known(RegisteredModel, form)
    given["created_at"], given["updated_at"] = _time(given["created_at"]), _time_or_none(given.get("updated_at"))
    return RegisteredModel(**given)


def version_of(form: Form) -> ModelVersion:
    given = _known(ModelVersion, form)
    given["created_at"], given["updated_at"] = _time(given["created_at"]), _time_or_none(given.get("updated_at"))
    for name in ("flavors", "aliases"):
        given[name] = tuple(map(str, given.get(name, ())))
    return ModelVersion(**given)


def move_of(form: Form) -> AliasMove:
    given = _known(AliasMove, form)
    given["at"] = _time(given["at"])
    return AliasMove(**given)


def change_of(form: Form) -> ModelChange:
    given = _known(ModelChange, form)
    given["at"] = _time(given["at"])
    return ModelChange(**given)


def new_version_form(new: NewVersion) -> dict[str, Any]:
    """Who registered it is not in it: the hub knows that by the token."""
    return {
        "source": new.source,
        "digest": new.digest or "",
        "signature": None if new.signature is None else dict(new.signature),
        "flavors": list(new.flavors),
        "size_bytes": new.size_bytes,
        "description": new.description,
        "run_id": new.run_id,
        "tags": [{"key": key, "value": value} for key, value in new.tags.items()],
        "origin": new.origin,
        "run_link": new.run_link,
        "logged_model": new.logged_model,
        "status": new.status,
        "status_message": new.status_message,
    }


def _known(kind: type[Any], form: Form) -> dict[str, Any]:
    return {each.name: form[each.name] for each in fields(kind) if each.name in form}


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def _time_or_none(text: str | None) -> datetime | None:
    return None if text is None else _time(text)
