"""Records how MLflow reads filters and orders, and what it finds with them. Run by the MLflow environment's Python:

    PYTHONPATH=tests .venv-mlflow/bin/python -m mlflow_api.search.record

The searches go to MLflow's own stores over a database in memory that holds the population, so that what a store refuses
after parsing is refused here, too. One line is one search: the number of the entity in the population, text or clauses,
and the answer, which is null where MLflow refuses or fails. The answer to a filter is its comparisons, [kind's initial,
key, operator, value] each, and the hexadecimal bits of what was found; that to an order is the order.
"""

from __future__ import annotations

import json
import math
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from mlflow.entities import LoggedModelStatus
from mlflow.store.model_registry.dbmodels.models import (
    SqlModelVersion,
    SqlModelVersionTag,
    SqlRegisteredModel,
    SqlRegisteredModelTag,
)
from mlflow.store.model_registry.sqlalchemy_store import SqlAlchemyStore as RegistryStore
from mlflow.store.tracking.dbmodels import models as db
from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore
from mlflow.utils import search_utils
from mlflow.utils.search_logged_model_utils import parse_filter_string
from mlflow.version import VERSION

from mlflow_api.search.generate import filters, orders
from mlflow_api.search.population import POPULATION

RECORDED = Path(__file__).parent / "recorded.jsonl"
FILTERS = {"runs": 960, "experiments": 440, "registered models": 400, "model versions": 430, "logged models": 620}
ORDERS = {"runs": 250, "experiments": 80, "registered models": 60, "model versions": 90, "logged models": 200}

ENTITIES = list(POPULATION)


class Mlflow:
    """MLflow's stores, full."""

    def __init__(self, directory: str) -> None:
        self._tracking = SqlAlchemyStore(f"sqlite:///{directory}/store.db", directory)
        self._registry = RegistryStore(f"sqlite:///{directory}/store.db")
        self._experiments = [str(experiment["experiment_id"]) for experiment in POPULATION["experiments"]]
        with self._tracking.ManagedSessionMaker(read_only=False) as session:
            session.query(db.SqlExperiment).delete()
            for rows in (_experiments(), _runs(), _registered_models(), _model_versions(), _logged_models()):
                session.add_all(rows)
                session.flush()

    def filter_answer(self, entity: str, text: str) -> list[Any]:
        tree = self._parse(entity, text)
        bits = sum(1 << place for place in self._search(entity, text))
        return [[[kind[0], *rest] for kind, *rest in tree], f"{bits:x}"]

    def order_answer(self, entity: str, order: list[Any]) -> list[int]:
        return self._search(entity, order=order)

    def _parse(self, entity: str, text: str) -> list[list[Any]]:
        if entity == "logged models":
            return [_logged_comparison(comparison) for comparison in parse_filter_string(text)]
        grammar = {
            "runs": search_utils.SearchUtils,
            "experiments": search_utils.SearchExperimentsUtils,
            "registered models": search_utils.SearchModelUtils,
            "model versions": search_utils.SearchModelVersionUtils,
        }[entity]
        return [_comparison(entity, found) for found in grammar.parse_search_filter(text)]

    def _search(self, entity: str, text: str = "", order: Sequence[Any] = ()) -> list[int]:
        match entity:
            case "runs":
                runs = self._tracking.search_runs(self._experiments, text, 1, 1000, list(order), None)
                return _places(entity, [{"run_id": run.info.run_id} for run in runs])
            case "experiments":
                found = self._tracking.search_experiments(1, 1000, text, list(order), None)
                return _places(entity, [{"name": experiment.name} for experiment in found])
            case "registered models":
                models = self._registry.search_registered_models(text, 1000, list(order), None)
                return _places(entity, [{"name": model.name} for model in models])
            case "model versions":
                versions = self._registry.search_model_versions(text, 1000, list(order), None)
                return _places(entity, [{"name": v.name, "version_number": int(v.version)} for v in versions])
            case _:
                logged = self._tracking.search_logged_models(self._experiments, text, None, 1000, list(order), None)
                return _places(entity, [{"model_id": model.model_id} for model in logged])


def _places(entity: str, found: list[dict[str, Any]]) -> list[int]:
    """Where in the population they are; the models that only hold versions are nowhere in it."""
    return [i for names in found for i, one in enumerate(POPULATION[entity]) if names.items() <= one.items()]


def _comparison(entity: str, found: dict[str, Any]) -> list[Any]:
    kind, key, value = found["type"].replace("parameter", "param"), found["key"], found["value"]
    if entity == "runs" and kind == "attribute":
        key = search_utils.SearchUtils.translate_key_alias(key)
    if kind == "metric":
        value = float(value)
    elif key == "version_number":
        value = int(value)
    elif entity == "experiments" and key == "experiment_id":
        value = [str(int(one)) for one in value] if isinstance(value, tuple) else str(int(value))
    return [kind, key, found["comparator"].upper(), value]


def _logged_comparison(found: Any) -> list[Any]:
    key = db.SqlLoggedModel.ALIASES.get(found.entity.key, found.entity.key)
    return [found.entity.type.value.removesuffix("s"), key, found.op, found.value]


def _experiments() -> list[Any]:
    rows: list[Any] = []
    for one in POPULATION["experiments"]:
        fields = {key: value for key, value in one.items() if key != "tags"}
        rows.append(db.SqlExperiment(artifact_location="s3://b", lifecycle_stage="active", **fields))
        rows += [
            db.SqlExperimentTag(experiment_id=one["experiment_id"], key=key, value=value)
            for key, value in one["tags"].items()
        ]
    return rows


def _runs() -> list[Any]:
    rows: list[Any] = []
    for one in POPULATION["runs"]:
        run_id = one["run_id"]
        fields = {key: one[key] for key in ("user_id", "status", "start_time", "end_time", "artifact_uri")}
        rows.append(
            db.SqlRun(run_uuid=run_id, name=one["run_name"], experiment_id=1, lifecycle_stage="active", **fields)
        )
        rows += [
            db.SqlLatestMetric(
                run_uuid=run_id,
                key=key,
                value=0.0 if math.isnan(value) else value,
                is_nan=math.isnan(value),
                timestamp=1,
                step=0,
            )
            for key, value in one["metrics"].items()
        ]
        rows += [db.SqlParam(run_uuid=run_id, key=key, value=value) for key, value in one["params"].items()]
        tags = {**one["tags"], "mlflow.runName": one["run_name"]}
        rows += [db.SqlTag(run_uuid=run_id, key=key, value=value) for key, value in tags.items()]
        for n, (name, digest, context) in enumerate(one["datasets"]):
            rows += _dataset_input(run_id, f"{run_id}{n}", name, digest, context)
    datasets = {row.dataset_uuid: row for row in rows if isinstance(row, db.SqlDataset)}
    return [row for row in rows if not isinstance(row, db.SqlDataset)] + list(datasets.values())


def _dataset_input(run_id: str, input_id: str, name: str, digest: str, context: str | None) -> list[Any]:
    uuid = f"{name}{digest}".encode().hex()
    source = {"dataset_source_type": "local", "dataset_source": "x"}
    rows = [
        db.SqlDataset(dataset_uuid=uuid, experiment_id=1, name=name, digest=digest, **source),
        db.SqlInput(
            input_uuid=input_id, source_type="DATASET", source_id=uuid, destination_type="RUN", destination_id=run_id
        ),
    ]
    if context is not None:
        rows.append(db.SqlInputTag(input_uuid=input_id, name="mlflow.data.context", value=context))
    return rows


def _registered_models() -> list[Any]:
    rows: list[Any] = [SqlRegisteredModel(name="prompt"), SqlRegisteredModel(name="iris")]
    rows += [SqlRegisteredModel(name="Iris"), SqlRegisteredModel(name="wine")]
    for one in POPULATION["registered models"]:
        times = {
            "creation_time": one["creation_timestamp"],
            "last_updated_time": one["last_updated_timestamp"],
        }
        rows.append(SqlRegisteredModel(name=one["name"], **times))
        rows += [SqlRegisteredModelTag(name=one["name"], key=key, value=value) for key, value in one["tags"].items()]
    return rows


def _model_versions() -> list[Any]:
    rows: list[Any] = []
    for one in POPULATION["model versions"]:
        names = {"name": one["name"], "version": one["version_number"]}
        rows.append(
            SqlModelVersion(
                creation_time=one["creation_timestamp"],
                last_updated_time=one["last_updated_timestamp"],
                source=one["source_path"],
                run_id=one["run_id"],
                **names,
            )
        )
        rows += [SqlModelVersionTag(key=key, value=value, **names) for key, value in one["tags"].items()]
    return rows


def _logged_models() -> list[Any]:
    rows: list[Any] = []
    for one in POPULATION["logged models"]:
        names = {"model_id": one["model_id"], "experiment_id": one["experiment_id"]}
        fields = {key: value for key, value in one.items() if key not in ("params", "tags", "metrics", *names)}
        fields["status"] = LoggedModelStatus(one["status"]).to_int()
        rows.append(db.SqlLoggedModel(lifecycle_stage="active", **fields, **names))
        rows += [
            db.SqlLoggedModelParam(param_key=key, param_value=value, **names) for key, value in one["params"].items()
        ]
        rows += [db.SqlLoggedModelTag(tag_key=key, tag_value=value, **names) for key, value in one["tags"].items()]
        rows += [
            db.SqlLoggedModelMetric(
                metric_name=key,
                metric_value=value,
                metric_timestamp_ms=1,
                metric_step=0,
                run_id=POPULATION["runs"][0]["run_id"],
                dataset_name=name,
                dataset_digest=digest,
                **names,
            )
            for key, value, name, digest in one["metrics"]
        ]
    return rows


def main() -> None:
    lines = [json.dumps({"mlflow": VERSION})]
    with tempfile.TemporaryDirectory() as directory:
        mlflow = Mlflow(directory)
        for entity in POPULATION:
            lines += [_line(entity, text, mlflow.filter_answer) for text in filters(entity, FILTERS[entity])]
            lines += [_line(entity, order, mlflow.order_answer) for order in orders(entity, ORDERS[entity])]
    RECORDED.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _line(entity: str, asked: Any, answer: Callable[[str, Any], Any]) -> str:
    try:
        found = answer(entity, asked)
    except Exception as error:  # MLflow refuses with one class and fails with any
        found = None
        if "MlflowException" not in type(error).__name__:
            sys.stderr.write(f"{entity}: {asked!r}: {type(error).__name__}\n")
    return json.dumps([ENTITIES.index(entity), asked, found], ensure_ascii=False, separators=(",", ":"))


if __name__ == "__main__":
    main()
