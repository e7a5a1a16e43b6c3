"""Registering what a run logged as the next version of a model."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from penstock.errors import TrackingInvalid, TrackingRefused
from penstock.fluent.context import user_name
from penstock.fluent.models.logged_models import TrackedModel, get_logged_model, model_of_run
from penstock.fluent.reading import delivered, get_run
from penstock.fluent.views import pairs_of

_EXISTS = "RESOURCE_ALREADY_EXISTS"


@dataclass(frozen=True)
class RegisteredVersion:
    """A version of a registered model, as it was read. Times are milliseconds since 1970."""

    name: str
    version: str
    source: str
    run_id: str = ""
    creation_timestamp: int = 0
    last_updated_timestamp: int = 0
    current_stage: str = "None"
    description: str = ""
    status: str = "READY"
    run_link: str = ""
    model_id: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    aliases: Sequence[str] = ()

    @classmethod
    def of_json(cls, found: Mapping[str, Any]) -> RegisteredVersion:
        """Of the object that MLflow's REST has."""
        texts = ("name", "source", "run_id", "current_stage", "description", "status", "run_link", "model_id")
        return cls(
            **{name: str(found[name]) for name in texts if name in found},
            version=str(found["version"]),
            creation_timestamp=int(found.get("creation_timestamp") or 0),
            last_updated_timestamp=int(found.get("last_updated_timestamp") or 0),
            tags=pairs_of(found.get("tags", [])),
            aliases=list(found.get("aliases", [])),
        )


@dataclass(frozen=True)
class TrackedRegistration:
    """A registered model, as it was read: `latest_versions` are the last one of each stage, `aliases` versions by
    alias."""

    name: str
    creation_timestamp: int = 0
    last_updated_timestamp: int = 0
    description: str = ""
    latest_versions: Sequence[RegisteredVersion] = ()
    tags: Mapping[str, str] = field(default_factory=dict)
    aliases: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of_json(cls, found: Mapping[str, Any]) -> TrackedRegistration:
        """Of the object that MLflow's REST has."""
        return cls(
            found["name"],
            int(found.get("creation_timestamp") or 0),
            int(found.get("last_updated_timestamp") or 0),
            found.get("description", ""),
            [RegisteredVersion.of_json(each) for each in found.get("latest_versions", [])],
            pairs_of(found.get("tags", [])),
            {each["alias"]: str(each["version"]) for each in found.get("aliases", [])},
        )


class _Source(NamedTuple):
    place: str
    run_id: str
    model_id: str = ""


def register_model(
    model_uri: str,
    name: str,
    await_registration_for: int | None = None,
    *,
    tags: Mapping[str, Any] | None = None,
) -> RegisteredVersion:
    """Registers a logged model, `models:/m-…`, or what a run logged, `runs:/RUN_ID/PATH`, as the next version of a
    model, which is made if there is none. `await_registration_for` is taken for MLflow's sake: a version is ready when
    this returns. Raises TrackingInvalid for another URI, TrackingUnavailable while nobody answers, and
    TrackingRefused."""
    source = _source_of(model_uri)
    transport = delivered().transport
    # A hub that asks for no token records who says so, as it does for the registry's commands; MLflow's server does not
    # look at it.
    by = {"by": os.environ.get("PENSTOCK_USER") or user_name()}
    try:
        transport.post("registered-models/create", {"name": name, **by})
    except TrackingRefused as error:
        if error.error_code != _EXISTS:
            raise
    pairs = [{"key": key, "value": str(value)} for key, value in (tags or {}).items()]
    fields = {"name": name, "source": source.place, "tags": pairs}
    ids = {key: value for key, value in (("run_id", source.run_id), ("model_id", source.model_id)) if value}
    made = transport.post("model-versions/create", {**fields, **ids, **by})["model_version"]
    return RegisteredVersion.of_json(made)


def _source_of(uri: str) -> _Source:
    scheme, _, rest = uri.partition(":/")
    head, _, path = rest.strip("/").partition("/")
    if scheme == "models" and head.startswith("m-") and not path:
        return _of_model(get_logged_model(head))
    if scheme != "runs" or not head or not path:
        raise TrackingInvalid(
            f"{uri!r} is no model of a run.", hint="It looks like runs:/RUN_ID/model, or like models:/m-ID."
        )
    run = get_run(head)
    logged = model_of_run(head, path)
    if logged is not None:
        return _of_model(logged)
    return _Source(posixpath.join(run.info.artifact_uri, path), run.info.run_id)


def _of_model(model: TrackedModel) -> _Source:
    return _Source(model.model_uri, model.source_run_id, model.model_id)
