"""The SQL stores find what MLflow does, on each database: some of the searches that were recorded of MLflow."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import Connection, delete, insert

from mlflow_api.search.our_answers import Search, found_by_filter, found_by_order, recorded
from mlflow_api.search.population import POPULATION
from penstock.errors import SearchInvalid
from penstock.mlflow_api.search.entities import ENTITIES, LOGGED_MODELS, SearchEntity
from penstock.sql import tracking_tables as tables
from penstock.sql.database import Database
from penstock.tracking.opening import open_database
from penstock.tracking.queries import ExperimentQuery, LoggedModelQuery, RunQuery
from penstock.tracking.sql.store import SqlTrackingStore

EXPERIMENT_IDS = [str(experiment["experiment_id"]) for experiment in POPULATION["experiments"]]


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    with filled(str(tmp_path_factory.mktemp("store"))) as opened:
        yield opened


@pytest.fixture(scope="module")
def store(database: Database) -> Iterator[SqlTrackingStore]:
    opened = SqlTrackingStore(database, artifact_root="mlflow-artifacts:")
    yield opened
    opened.close()


@contextmanager
def filled(url: str) -> Iterator[Database]:
    opened = open_database(url)
    opened.migrate()
    opened.write(fill)
    yield opened
    opened.close()


def fill(c: Connection) -> None:
    """The tables themselves: a store gives ids and times of its own."""
    c.execute(delete(tables.experiments))
    for one in POPULATION["experiments"]:
        number, times = (
            one["experiment_id"],
            {"created_at": one["creation_time"], "updated_at": one["last_update_time"]},
        )
        c.execute(
            insert(tables.experiments).values(
                id=number, name=one["name"], artifact_location="s3://b", deleted=False, **times
            )
        )
        keyed(c, tables.experiment_tags, one["tags"], experiment=number)
    for number, one in enumerate(POPULATION["runs"], 1):
        fill_run(c, number, one)
    for number, one in enumerate(POPULATION["logged models"], 1):
        fill_logged_model(c, number, one)


def keyed(c: Connection, table: Any, values: dict[str, str], **owner: int) -> None:
    for key, value in values.items():
        c.execute(insert(table).values(key=key, value=value, **owner))


def fill_run(c: Connection, number: int, one: dict[str, Any]) -> None:
    same = {key: one[key] for key in ("run_id", "user_id", "status", "start_time", "end_time", "artifact_uri")}
    c.execute(
        insert(tables.runs).values(id=number, experiment=1, name=one["run_name"], deleted=False, changed=1, **same)
    )
    keyed(c, tables.params, one["params"], run=number)
    keyed(c, tables.tags, {**one["tags"], "mlflow.runName": one["run_name"]}, run=number)
    once = {"points": 1, "hot": 1, "first_step": 0, "last_step": 0, "step": 0, "timestamp": 1}
    for place, (key, value) in enumerate(one["metrics"].items()):
        nan = math.isnan(value)
        c.execute(
            insert(tables.series).values(
                run=number, key=key, id=number * 10 + place, value=0.0 if nan else value, nan=int(nan), **once
            )
        )
    for place, (name, digest, context) in enumerate(one["datasets"]):
        dataset = number * 10 + place
        c.execute(
            insert(tables.datasets).values(
                id=dataset, experiment=number, name=name, digest=digest, source_type="local", source="x"
            )
        )
        c.execute(
            insert(tables.inputs).values(run=number, dataset=dataset, place=place, context=context or "", tags="{}")
        )


def fill_logged_model(c: Connection, number: int, one: dict[str, Any]) -> None:
    c.execute(
        insert(tables.logged_models).values(
            id=number,
            model_id=one["model_id"],
            experiment=one["experiment_id"],
            name=one["name"],
            artifact_uri=one["artifact_location"],
            created_at=one["creation_timestamp_ms"],
            updated_at=one["last_updated_timestamp_ms"],
            status=LOGGED_MODELS.attributes["status"].words[one["status"]],
            status_message="",
            model_type=one["model_type"] or "",
            source_run_id=one["source_run_id"] or "",
            deleted=False,
        )
    )
    keyed(c, tables.logged_model_params, one["params"], model=number)
    keyed(c, tables.logged_model_tags, one["tags"], model=number)
    for key, value, name, digest in one["metrics"]:
        measured = {"value": value, "dataset_name": name, "dataset_digest": digest}
        c.execute(
            insert(tables.logged_model_metrics).values(model=number, key=key, run=1, timestamp=1, step=0, **measured)
        )


def found(store: SqlTrackingStore, search: Search) -> list[int]:
    """Places in the population, in the order of the answer."""
    text, order = (search.asked, ()) if isinstance(search.asked, str) else ("", search.asked)
    match search.entity:
        case "runs":
            return places(
                "runs", "run_id", [ref.run_id for ref in store.find_runs(RunQuery(EXPERIMENT_IDS, text, order))]
            )
        case "experiments":
            experiments = store.find_experiments(ExperimentQuery(text, order))
            return places("experiments", "experiment_id", [int(one.experiment_id) for one in experiments])
        case _:
            models = store.find_logged_models(LoggedModelQuery(EXPERIMENT_IDS, text, order))
            return places("logged models", "model_id", [one.model_id for one in models])


def places(entity: str, key: str, ids: list[Any]) -> list[int]:
    """Of those that are in the population: every store has a default experiment."""
    by_id = {one[key]: place for place, one in enumerate(POPULATION[entity])}
    return [by_id[each] for each in ids if each in by_id]


def wanted(entity: SearchEntity, search: Search) -> Callable[[list[int]], bool] | None:
    """Whether an answer is right; None for a search that is refused."""
    try:
        if isinstance(search.asked, str):
            bits = found_by_filter(entity, search.asked)[1]
            return lambda answer: f"{sum(1 << place for place in answer):x}" == bits
        order = found_by_order(entity, search.asked)
        return lambda answer: answer == order
    except SearchInvalid:
        return None


def check_recorded(store: SqlTrackingStore, *, one_of: int) -> None:
    asked = [search for search in recorded() if search.entity in ("runs", "experiments", "logged models")][::one_of]
    checked = 0
    for search in asked:
        is_right = wanted(ENTITIES[search.entity], search)
        if is_right is not None:
            checked += 1
            answer = found(store, search)
            assert is_right(answer), (search, answer)
    assert checked > 0.4 * len(asked)


def test_sqlite_finds_what_mlflow_does(store: SqlTrackingStore) -> None:
    check_recorded(store, one_of=4)


def test_postgresql_finds_what_mlflow_does(postgres_url: str) -> None:
    with filled(postgres_url) as database:
        store = SqlTrackingStore(database, artifact_root="mlflow-artifacts:")
        check_recorded(store, one_of=40)
        store.close()


def test_a_filter_and_an_order_may_be_as_long_as_they_are_allowed_to_be(store: SqlTrackingStore) -> None:
    for comparison in ("metrics.a != 7.5", "run_id != 'x'", "tags.t IS NULL OR", "dataset.name != 'x'"):
        text = " AND ".join([comparison.removesuffix(" OR")] * 500)
        assert len(store.find_runs(RunQuery(EXPERIMENT_IDS, text))) < len(POPULATION["runs"]) + 1
    ids = ", ".join(f"'{number}'" for number in range(10_000))
    assert len(store.find_runs(RunQuery(EXPERIMENT_IDS, f"run_id NOT IN ({ids})"))) == len(POPULATION["runs"])
    orders = [f"metrics.m{number}" for number in range(50)]
    assert len(store.find_runs(RunQuery(EXPERIMENT_IDS, order_by=orders))) == len(POPULATION["runs"])
