"""Runs as they were elsewhere, but for their points."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import orjson
from sqlalchemy import Connection

from penstock.sql import tracking_tables as tables
from penstock.sql.dialect import any_of, insert_rows, next_key, run
from penstock.tracking.datasets import CONTEXT_TAG, Dataset
from penstock.tracking.runs import Run
from penstock.tracking.sql.batches import run_keys
from penstock.tracking.sql.keys import Keys
from penstock.tracking.sql.run_reads import read_runs

_HELD = ("penstock_params", "penstock_tags", "penstock_inputs", "penstock_run_models")


def read_known_runs(c: Connection, run_ids: Sequence[str]) -> dict[str, Run]:
    """Those of these that there are, without metrics."""
    condition, parameter = any_of(c, "run_id", list(run_ids))
    there = [row[0] for row in run(c, f"SELECT run_id FROM penstock_runs WHERE {condition}", parameter)]
    return {each.run_id: replace(each, metrics=(), changed=0) for each in (read_runs(c, there) if there else ())}


def import_runs(c: Connection, keys: Keys, runs: Sequence[tuple[Run, int | None]]) -> None:
    """Each with when it was deleted. Those that are there become what they are given as; their points stay."""
    known = {run_id: key for run_id, (key, _) in run_keys(c, [each.run_id for each, _ in runs]).items()}
    if known:
        for table in _HELD:
            condition, parameter = any_of(c, "run", sorted(known.values()))
            run(c, f"DELETE FROM {table} WHERE {condition}", parameter)
    at = {each.run_id: known.get(each.run_id) or keys.run() for each, _ in runs}
    rows = [
        (
            *(at[each.run_id], each.run_id, int(each.experiment_id), each.name, each.user_id, each.status),
            *(each.start_time, each.end_time, each.artifact_uri, each.lifecycle == "deleted", deleted_at, keys.number),
        )
        for each, deleted_at in runs
    ]
    insert_rows(c, tables.runs, rows, "replace")
    insert_rows(c, tables.params, [(at[each.run_id], *param) for each, _ in runs for param in each.params.items()])
    insert_rows(c, tables.tags, [(at[each.run_id], *tag) for each, _ in runs for tag in each.tags.items()])
    _import_inputs(c, [(at[each.run_id], each) for each, _ in runs])


def _import_inputs(c: Connection, runs: Sequence[tuple[int, Run]]) -> None:
    datasets = _dataset_keys(
        c, [(int(each.experiment_id), given.dataset) for _, each in runs for given in each.datasets]
    )
    rows = [
        (
            *(key, datasets[int(each.experiment_id), given.dataset.name, given.dataset.digest], place),
            *(given.tags.get(CONTEXT_TAG, ""), orjson.dumps(dict(given.tags)).decode()),
        )
        for key, each in runs
        for place, given in enumerate(each.datasets, start=1)
    ]
    insert_rows(c, tables.inputs, rows, "keep")
    models = {
        (key, direction, given.model_id): (key, direction, given.model_id, given.step)
        for key, each in runs
        for direction, of in (("input", each.model_inputs), ("output", each.model_outputs))
        for given in of
    }
    insert_rows(c, tables.run_models, list(models.values()))


def _dataset_keys(c: Connection, wanted: Sequence[tuple[int, Dataset]]) -> dict[tuple[int, str, str], int]:
    """Keys by experiment, name and digest. What is there stays as it is."""
    found: dict[tuple[int, str, str], int] = {}
    if not wanted:
        return found
    condition, parameter = any_of(c, "experiment", sorted({experiment for experiment, _ in wanted}))
    named, names = any_of(c, "name", sorted({dataset.name for _, dataset in wanted}))
    statement = f"SELECT experiment, name, digest, id FROM penstock_datasets WHERE {condition} AND {named}"
    found.update({(row[0], row[1], row[2]): row[3] for row in run(c, statement, parameter, names)})
    free = next_key(c, tables.datasets)
    rows: list[tuple[object, ...]] = []
    for experiment, dataset in wanted:
        at = (experiment, dataset.name, dataset.digest)
        if at not in found:
            found[at] = free + len(rows)
            rows.append((found[at], *at, dataset.source_type, dataset.source, dataset.schema, dataset.profile))
    insert_rows(c, tables.datasets, rows)
    return found
