"""Experiments and runs out of MLflow's tables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, cast

from penstock.moving.mlflow_database.cells import (
    by_first,
    number,
    optional_number,
    optional_text,
    places,
    text,
)
from penstock.moving.mlflow_database.connections import ReadOnlyConnection
from penstock.moving.mlflow_database.paging import PagedTable, read_pages
from penstock.moving.mlflow_database.schema import WORKSPACE, MlflowSchema
from penstock.moving.records import Broken, SourceRun
from penstock.tracking.datasets import Dataset, DatasetInput
from penstock.tracking.experiments import Experiment, Lifecycle
from penstock.tracking.runs import RUN_NAME_TAG, ModelOutput, Run, RunStatus

_EXPERIMENT = (
    *("experiment_id", "name", "artifact_location", "lifecycle_stage", "creation_time", "last_update_time"),
    "workspace",
)
_RUN = (
    *("run_uuid", "experiment_id", "name", "user_id", "status", "start_time", "end_time", "artifact_uri"),
    *("lifecycle_stage", "deleted_time"),
)
_DATASET = ("name", "digest", "dataset_source_type", "dataset_source", "dataset_schema", "dataset_profile")
_PAGE = 200


def read_experiments(c: ReadOnlyConnection, schema: MlflowSchema) -> Iterator[Experiment | Broken]:
    rows = c.rows(f"SELECT {schema.listed('experiments', _EXPERIMENT)} FROM experiments ORDER BY experiment_id")
    tags: dict[str, list[Sequence[Any]]] = {}
    if schema.has("experiment_tags"):
        tags = by_first(c.rows('SELECT experiment_id, "key", value FROM experiment_tags'))
    for number_of, name, location, lifecycle, created, updated, workspace in rows:
        at = text(number_of)
        held = {text(key): text(value) for key, value in tags.get(at, ())}
        if workspace not in (None, WORKSPACE):
            why = f"it is in the workspace {text(workspace)[:80]!r}, and the hub has one alone"
            yield Broken("experiments", at, why)
            if held:
                yield Broken("experiment tags", at, why, len(held))
            continue
        yield Experiment(
            experiment_id=at,
            name=text(name),
            artifact_location=text(location),
            lifecycle=_lifecycle(lifecycle),
            creation_time=number(created),
            last_update_time=number(updated, number(created)),
            tags=held,
        )


def read_runs(c: ReadOnlyConnection, schema: MlflowSchema) -> Iterator[list[SourceRun | Broken]]:
    """By id, so that a run which is added meanwhile moves no other one."""
    for rows, broken in read_pages(c, schema, PagedTable("runs", "runs", "run_uuid", _RUN), _PAGE):
        yield [*(_with_held(c, schema, rows) if rows else ()), *broken]


def _with_held(c: ReadOnlyConnection, schema: MlflowSchema, rows: Sequence[Any]) -> Iterator[SourceRun]:
    """With params, tags, inputs, and how many points there are."""
    ids = [row[0] for row in rows]
    of_these = f"run_uuid IN {places(ids)}"
    params, tags = (
        by_first(c.rows(f'SELECT run_uuid, "key", value FROM {table} WHERE {of_these}', *ids))
        for table in ("params", "tags")
    )
    counted = f"SELECT run_uuid, count(*) FROM metrics WHERE {of_these} GROUP BY run_uuid"
    points = {text(run_id): int(count) for run_id, count in c.rows(counted, *ids)}
    datasets = _datasets(c, schema, ids)
    taken, made = (_models(c, schema, ids, direction) for direction in ("RUN_INPUT", "RUN_OUTPUT"))
    for run_uuid, experiment, name, user, status, start, end, uri, lifecycle, deleted in rows:
        at = text(run_uuid)
        tagged = {text(key): text(value) for key, value in sorted(tags.get(at, ()), key=_key)}
        run = Run(
            run_id=at,
            experiment_id=text(experiment),
            name=text(name) or tagged.get(RUN_NAME_TAG, ""),
            user_id=text(user),
            status=cast("RunStatus", text(status)),
            start_time=number(start),
            end_time=optional_number(end),
            artifact_uri=text(uri),
            lifecycle=_lifecycle(lifecycle),
            changed=0,
            params={text(key): text(value) for key, value in sorted(params.get(at, ()), key=_key)},
            tags=tagged,
            datasets=tuple(datasets.get(at, ())),
            model_inputs=tuple(taken.get(at, ())),
            model_outputs=tuple(made.get(at, ())),
        )
        count = points.get(at, 0)
        yield SourceRun(run, optional_number(deleted), count, str(count))


def _datasets(c: ReadOnlyConnection, schema: MlflowSchema, ids: Sequence[str]) -> dict[str, list[DatasetInput]]:
    if not (schema.has("inputs") and schema.has("datasets")):
        return {}
    statement = (
        f"SELECT i.destination_id, i.input_uuid, {schema.listed('datasets', _DATASET, 'd')} FROM inputs i "
        "JOIN datasets d ON d.dataset_uuid = i.source_id WHERE i.source_type = 'DATASET' "
        f"AND i.destination_type = 'RUN' AND i.destination_id IN {places(ids)} ORDER BY d.name, d.digest"
    )
    rows = c.rows(statement, *ids)
    tags: dict[str, list[Sequence[Any]]] = {}
    inputs = [row[1] for row in rows]
    for start in range(0, len(inputs) if schema.has("input_tags") else 0, _PAGE):
        some = inputs[start : start + _PAGE]
        tags |= by_first(
            c.rows(f"SELECT input_uuid, name, value FROM input_tags WHERE input_uuid IN {places(some)}", *some)
        )
    found: dict[str, list[DatasetInput]] = {}
    for run_id, given, name, digest, kind, where, form, profile in rows:
        dataset = Dataset(
            text(name), text(digest), text(kind), text(where), optional_text(form), optional_text(profile)
        )
        tagged = {text(key): text(value) for key, value in sorted(tags.get(text(given), ()), key=_key)}
        found.setdefault(text(run_id), []).append(DatasetInput(dataset, tagged))
    return found


def _models(
    c: ReadOnlyConnection, schema: MlflowSchema, ids: Sequence[str], direction: str
) -> dict[str, list[ModelOutput]]:
    if not schema.has("inputs", "step"):  # there are none before that
        return {}
    statement = (
        "SELECT source_id, destination_id, step FROM inputs WHERE source_type = ? "
        f"AND source_id IN {places(ids)} ORDER BY source_id, step, destination_id"
    )
    found = by_first(c.rows(statement, direction, *ids))
    return {at: [ModelOutput(text(model), number(step)) for model, step in rows] for at, rows in found.items()}


def _lifecycle(cell: Any) -> Lifecycle:
    return "deleted" if cell == "deleted" else "active"


def _key(row: Sequence[Any]) -> str:
    return text(row[0])
