"""Registered models and their versions in the JSON forms of MLflow's REST.

Source: MLflow 3.18, `protos/model_registry.proto`, and recordings of its server. The number of a version is a text.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from penstock.hub.json_forms import Json, pairs_json
from penstock.hub.version_sources import files_uri
from penstock.registry import ModelVersion, RegisteredModel


def model_json(model: RegisteredModel, latest: Iterable[ModelVersion], root: str) -> Json:
    """`latest` are the last versions of each stage, `root` is where the hub's artifacts are."""
    versions = [version_json(version, root, with_aliases=False) for version in latest]
    aliases = [{"alias": alias, "version": number} for alias, number in model.aliases.items()]
    return {
        "name": model.name,
        "creation_timestamp": _milliseconds(model.created_at),
        "last_updated_timestamp": _milliseconds(model.updated_at or model.created_at),
        **({"description": model.description} if model.description else {}),
        **({"latest_versions": versions} if versions else {}),
        **({"tags": pairs_json(model.tags)} if model.tags else {}),
        **({"aliases": aliases} if aliases else {}),
    }


def version_json(version: ModelVersion, root: str, *, with_aliases: bool = True) -> Json:
    return {
        "name": version.name,
        "version": version.version,
        "creation_timestamp": _milliseconds(version.created_at),
        "last_updated_timestamp": _milliseconds(version.updated_at or version.created_at),
        "current_stage": version.stage,
        "description": version.description,
        "source": version.origin or files_uri(version, root),
        "run_id": version.run_id,
        "status": version.status,
        **({"status_message": version.status_message} if version.status_message else {}),
        "run_link": version.run_link,
        **({"tags": pairs_json(version.tags)} if version.tags else {}),
        **({"aliases": list(version.aliases)} if with_aliases and version.aliases else {}),
    }


def _milliseconds(at: datetime) -> int:
    return int(at.timestamp() * 1000)
