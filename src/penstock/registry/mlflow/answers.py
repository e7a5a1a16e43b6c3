"""What an MLflow server's REST API says of models and versions, as ours. Pure.

Answers may be of any form: whoever calls these translates KeyError, TypeError, ValueError, AttributeError and
OverflowError.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from penstock.errors import VersionNotFound
from penstock.package import PackagedModel
from penstock.registry.entries import STAGES, STATUSES, ModelVersion, RegisteredModel

_STAGES = ("Production", "Staging", "Archived")


def registered_model(model: Mapping[str, Any], numbers: list[int]) -> RegisteredModel:
    return RegisteredModel(
        name=str(model["name"]),
        created_at=_time(model["creation_timestamp"]),
        latest=str(max(numbers)) if numbers else None,
        versions=len(numbers),
        aliases=dict(sorted(aliases_and_stages(model).items())),
        tags=tags_of(model),
        description=str(model.get("description", "")),
        updated_at=_time(model.get("last_updated_timestamp", model["creation_timestamp"])),
    )


def model_version(data: Mapping[str, Any], aliases: Mapping[str, str] | None = None) -> ModelVersion:
    """`aliases` None: those that the answer itself names."""
    number = str(data["version"])
    names = data.get("aliases", ()) if aliases is None else (a for a, v in aliases.items() if v == number)
    return ModelVersion(
        name=str(data["name"]),
        version=number,
        source=str(data.get("source", "")),
        created_at=_time(data["creation_timestamp"]),
        description=str(data.get("description", "")),
        run_id=str(data.get("run_id", "")),
        registered_by=str(data.get("user_id", "")),
        tags=tags_of(data),
        aliases=tuple(sorted(map(str, names))),
        stage=next((stage for stage in STAGES if stage == data.get("current_stage")), "None"),
        run_link=str(data.get("run_link", "")),
        logged_model=str(data.get("model_id", "")),
        status=next((status for status in STATUSES if status == data.get("status")), "READY"),
        status_message=str(data.get("status_message", "")),
        updated_at=_time(data.get("last_updated_timestamp", data["creation_timestamp"])),
    )


def with_package(version: ModelVersion, package: PackagedModel, digest: str) -> ModelVersion:
    """With what the server does not keep, and the package says. Raises PackageInvalid."""
    signature = package.manifest.signature
    return replace(
        version,
        digest=digest,
        flavors=tuple(package.manifest.flavors),
        size_bytes=package.size_bytes,
        signature=None if signature is None else signature.to_mlflow(),
    )


def require_ready(version: ModelVersion, data: Mapping[str, Any]) -> ModelVersion:
    """Raises VersionNotFound where the server is still making the version, or failed to."""
    status = data.get("status", "READY")
    if status != "READY":
        raise VersionNotFound(f"Version {version.version} of model {version.name!r} is not ready: {status}.")
    return version


def own_aliases(model: Mapping[str, Any]) -> dict[str, str]:
    return {str(a["alias"]): str(a["version"]) for a in model.get("aliases", ())}


def aliases_and_stages(model: Mapping[str, Any]) -> dict[str, str]:
    """Alias -> version; a stage counts as an alias of its name in small letters, unless there is one."""
    stages = {
        str(v["current_stage"]).lower(): str(v["version"])
        for v in sorted(model.get("latest_versions", ()), key=lambda v: int(v["version"]))
        if v.get("current_stage") in _STAGES
    }
    return {**stages, **own_aliases(model)}


def tags_of(data: Mapping[str, Any]) -> dict[str, str]:
    return {str(tag["key"]): str(tag.get("value", "")) for tag in data.get("tags", ())}


def _time(milliseconds: Any) -> datetime:
    return datetime.fromtimestamp(int(milliseconds) / 1000, UTC)
