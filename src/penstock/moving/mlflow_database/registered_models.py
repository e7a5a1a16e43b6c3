"""Registered models and their versions out of MLflow's tables."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, cast

from penstock.moving.mlflow_database.cells import by_first, moment, number, places, text
from penstock.moving.mlflow_database.connections import ReadOnlyConnection
from penstock.moving.mlflow_database.paging import PagedTable, read_pages
from penstock.moving.mlflow_database.schema import WORKSPACE, MlflowSchema
from penstock.moving.records import Broken, SourceModel
from penstock.registry.entries import ModelVersion, RegisteredModel, Stage, VersionStatus

DELETED_STAGE = "Deleted_Internal"

_MODEL = ("name", "creation_time", "last_updated_time", "description")
_VERSION = (
    *("name", "version", "creation_time", "last_updated_time", "description", "user_id", "current_stage", "source"),
    *("run_id", "status", "status_message", "run_link", "storage_location"),
)
_LOGGED = re.compile(r"models:/+(m-[0-9a-zA-Z]+)/?")
_PAGE = 100


def read_models(c: ReadOnlyConnection, schema: MlflowSchema) -> Iterator[SourceModel | Broken]:
    """Those of the one workspace that every server has."""
    here = f"workspace = '{WORKSPACE}'" if schema.has("registered_models", "workspace") else ""
    if schema.has("registered_models"):
        paged = PagedTable("registered models", "registered_models", "name", _MODEL, here)
        for rows, broken in read_pages(c, schema, paged, _PAGE):
            yield from _with_versions(c, schema, rows) if rows else ()
            yield from broken


def read_other_workspaces(c: ReadOnlyConnection, schema: MlflowSchema) -> Iterator[Broken]:
    """What is in workspaces that a hub does not have, by table and workspace."""
    for kind, table in (
        ("registered models", "registered_models"),
        ("registered model tags", "registered_model_tags"),
        ("aliases", "registered_model_aliases"),
        ("model versions", "model_versions"),
        ("model version tags", "model_version_tags"),
    ):
        if schema.has(table, "workspace"):
            statement = f"SELECT workspace, count(*) FROM {table} WHERE workspace <> ? GROUP BY workspace"
            for workspace, count in c.rows(statement, WORKSPACE):
                why = f"it is in the workspace {text(workspace)[:80]!r}, and the hub has one alone"
                yield Broken(kind, text(workspace)[:80], why, count)  # type: ignore[arg-type]


def _with_versions(c: ReadOnlyConnection, schema: MlflowSchema, rows: Sequence[Any]) -> Iterator[SourceModel | Broken]:
    names = [row[0] for row in rows]
    versions = _of(c, schema, "model_versions", schema.listed("model_versions", _VERSION), names)
    tags = _of(c, schema, "registered_model_tags", 'name, "key", value', names)
    aliases = _of(c, schema, "registered_model_aliases", "name, alias, version", names)
    version_tags = _of(c, schema, "model_version_tags", 'name, version, "key", value', names)
    for name, created, updated, description in rows:
        at = text(name)
        named = {text(alias): text(version) for alias, version in aliases.get(at, ())}
        tagged: dict[str, dict[str, str]] = {}
        for version, key, value in sorted(version_tags.get(at, ()), key=lambda row: (text(row[0]), text(row[1]))):
            tagged.setdefault(text(version), {})[text(key)] = text(value)
        found = sorted(versions.get(at, ()), key=lambda row: number(row[0]))
        living = [row for row in found if row[5] != DELETED_STAGE]
        for row in found:
            if row[5] == DELETED_STAGE:
                yield from _deleted(at, text(row[0]), tagged)
        yield SourceModel(
            RegisteredModel(
                name=at,
                created_at=moment(created),
                updated_at=moment(updated if updated is not None else created),
                description=text(description),
                aliases=dict(sorted(named.items())),
                tags={text(key): text(value) for key, value in sorted(tags.get(at, ()), key=lambda row: text(row[0]))},
            ),
            tuple(_version(at, row, tagged) for row in living),
            max((number(row[0]) for row in found), default=0),
        )


def _version(name: str, row: Sequence[Any], tagged: dict[str, dict[str, str]]) -> ModelVersion:
    version, created, updated, description, user, stage, source, run_id, status, message, link, location = row
    logged = _LOGGED.fullmatch(text(source))
    return ModelVersion(
        name=name,
        version=text(version),
        source=text(location),
        origin=text(source),
        created_at=moment(created),
        updated_at=moment(updated if updated is not None else created),
        description=text(description),
        run_id=text(run_id),
        registered_by=text(user),
        tags=tagged.get(text(version), {}),
        stage=cast("Stage", text(stage) or "None"),
        run_link=text(link),
        logged_model="" if logged is None else logged[1],
        status=cast("VersionStatus", text(status) or "READY"),
        status_message=text(message),
    )


def _deleted(name: str, version: str, tagged: dict[str, dict[str, str]]) -> Iterator[Broken]:
    why = "it was deleted there; its number is not given again"
    yield Broken("model versions", f"{name}/{version}", why)
    if held := tagged.get(version):
        yield Broken("model version tags", f"{name}/{version}", why, len(held))


def _of(
    c: ReadOnlyConnection, schema: MlflowSchema, table: str, columns: str, names: Sequence[Any]
) -> dict[str, list[Sequence[Any]]]:
    """Rows of a table by the model's name, which is the first column."""
    if not schema.has(table):
        return {}
    here = f" AND workspace = '{WORKSPACE}'" if schema.has(table, "workspace") else ""
    return by_first(c.rows(f"SELECT {columns} FROM {table} WHERE name IN {places(names)}{here}", *names))
