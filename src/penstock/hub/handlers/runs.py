"""Runs: `/mlflow/runs/…`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, get_args

import orjson

from penstock.errors import TrackingInvalid
from penstock.hub.answers import EMPTY, HubAnswer, json_answer
from penstock.hub.context import HubContext
from penstock.hub.fields import MAX_INTEGER, MIN_INTEGER, Fields, as_mapping
from penstock.hub.handlers.experiments import VIEW_TYPES
from penstock.hub.json_forms import run_info_json, run_json
from penstock.hub.requests import HubRequest, StoreWrite
from penstock.hub.routes import HubRoute, mlflow_route
from penstock.tracking.datasets import Dataset, DatasetInput
from penstock.tracking.metrics import Metric
from penstock.tracking.queries import RunQuery
from penstock.tracking.runs import ModelOutput, Run, RunStatus
from penstock.tracking.writes import (
    CreateRun,
    DeleteRun,
    DeleteTag,
    LogBatch,
    LogInputs,
    LogOutputs,
    RestoreRun,
    UpdateRun,
)

_STATUSES: tuple[RunStatus, ...] = get_args(RunStatus)


def _create(fields: Fields) -> CreateRun:
    return CreateRun(
        fields.experiment_id(),
        fields.text("run_name"),
        fields.text("user_id"),
        fields.integer("start_time", 0),
        as_mapping(fields.pairs("tags")),
        # Which MLflow's clients never send. One who makes the id may ask again after a lost answer: there is one run.
        fields.text("run_id"),
    )


def _created(made: Run) -> HubAnswer:
    """There are no outputs of a run that begins, and MLflow does not name them."""
    return json_answer({"run": {name: part for name, part in run_json(made).items() if name != "outputs"}})


async def get(hub: HubContext, request: HubRequest) -> HubAnswer:
    run_id = request.fields.required("run_id", "run_uuid")

    def read() -> bytes:
        return hub.documents.of(hub.stores.tracking.refs([run_id]))[0]

    return HubAnswer(b'{"run":%b}' % await hub.stores.read(read))


async def search(hub: HubContext, request: HubRequest) -> HubAnswer:
    fields = request.fields
    query = RunQuery(
        fields.experiment_ids(),
        fields.text("filter"),
        fields.texts("order_by"),
        fields.choice("run_view_type", VIEW_TYPES) or "ACTIVE_ONLY",
        fields.integer("max_results", 1000),
        fields.text("page_token"),
    )

    def read() -> bytes:
        page = hub.stores.tracking.find_runs(query)
        parts = []
        if page.items:
            parts.append(b'"runs":[%b]' % b",".join(hub.documents.of(page.items)))
        if page.next_token:
            parts.append(b'"next_page_token":%b' % orjson.dumps(page.next_token))
        return b"{%b}" % b",".join(parts)

    return HubAnswer(await hub.stores.read(read))


def _update(fields: Fields) -> UpdateRun:
    return UpdateRun(
        fields.required("run_id", "run_uuid"),
        fields.choice("status", _STATUSES),
        fields.integer("end_time") if "end_time" in fields else None,
        fields.text("run_name"),
    )


def _updated(run: Run) -> HubAnswer:
    return json_answer({"run_info": run_info_json(run)})


def _delete(fields: Fields) -> DeleteRun:
    return DeleteRun(fields.required("run_id"))


def _restore(fields: Fields) -> RestoreRun:
    return RestoreRun(fields.required("run_id"))


def _log_metric(fields: Fields) -> LogBatch:
    return LogBatch(fields.required("run_id", "run_uuid"), [_metric(fields)])


def _log_param(fields: Fields) -> LogBatch:
    param = (fields.required("key"), fields.text("value"))
    return LogBatch(fields.required("run_id", "run_uuid"), params=[param])


def _set_tag(fields: Fields) -> LogBatch:
    tag = (fields.required("key"), fields.text("value"))
    return LogBatch(fields.required("run_id", "run_uuid"), tags=[tag])


def _delete_tag(fields: Fields) -> DeleteTag:
    return DeleteTag(fields.required("run_id"), fields.required("key"))


def _log_batch(fields: Fields) -> LogBatch:
    run_id = fields.required("run_id", "run_uuid")
    given = enumerate(fields.objects("metrics"))
    metrics = [_plain_metric(each) or _metric(fields.entry("metrics", place)) for place, each in given]
    return LogBatch(run_id, metrics, fields.pairs("params"), fields.pairs("tags"))


def _log_inputs(fields: Fields) -> LogInputs:
    datasets = [_dataset_input(each) for each in fields.each("datasets")]
    models = [ModelOutput(each.required("model_id")) for each in fields.each("models")]
    return LogInputs(fields.required("run_id"), datasets, models)


def _log_outputs(fields: Fields) -> LogOutputs:
    fields.present("models")
    models = [ModelOutput(each.required("model_id"), each.integer("step", 0)) for each in fields.each("models")]
    return LogOutputs(fields.required("run_id"), models)


async def log_model(hub: HubContext, request: HubRequest) -> HubAnswer:
    """What clients of MLflow 2 send: the model's manifest is kept in a tag, a list of all that the run logged."""
    run_id = request.fields.required("run_id")
    try:
        model = orjson.loads(request.fields.required("model_json"))
    except orjson.JSONDecodeError as error:
        raise TrackingInvalid(f"Malformed model info. It is no JSON: {error}.", field="model_json") from None
    needed = ("artifact_path", "flavors", "utc_time_created", "run_id")
    if not isinstance(model, dict) or not all(key in model for key in needed):
        raise TrackingInvalid(f"Model json is missing mandatory fields: {', '.join(needed)}.", field="model_json")
    run = await hub.stores.read(hub.stores.tracking.run, run_id)
    before = orjson.loads(run.tags.get("mlflow.log-model.history", "[]"))
    told = orjson.dumps([*before, model]).decode()
    await hub.stores.write(LogBatch(run_id, tags=[("mlflow.log-model.history", told)]))
    return EMPTY


def _plain_metric(given: Mapping[str, Any]) -> Metric | None:
    """One of a batch as nearly all are, which needs no reader of fields; None for any other."""
    if len(given) != 4:
        return None
    key: Any = given.get("key")
    value: Any = given.get("value")
    timestamp: Any = given.get("timestamp")
    step: Any = given.get("step")
    plain = type(value) is float and type(timestamp) is int and type(step) is int and type(key) is str and key
    if not plain or not timestamp <= MAX_INTEGER or not MIN_INTEGER <= step <= MAX_INTEGER:
        return None
    return Metric(key, value, timestamp, step)


def _metric(fields: Fields) -> Metric:
    return Metric(
        fields.required("key"),
        fields.number("value"),
        fields.integer("timestamp"),
        fields.integer("step", 0),
        fields.text("model_id"),
        fields.text("dataset_name"),
        fields.text("dataset_digest"),
    )


def _dataset_input(fields: Fields) -> DatasetInput:
    dataset = fields.inner("dataset")
    named = Dataset(
        dataset.required("name"),
        dataset.required("digest"),
        dataset.text("source_type"),
        dataset.text("source"),
        dataset.text("schema") or None,
        dataset.text("profile") or None,
    )
    return DatasetInput(named, as_mapping(fields.pairs("tags")))


ROUTES: Sequence[HubRoute] = (
    mlflow_route("POST", "runs/create", "write", StoreWrite(_create, _created)),
    mlflow_route("GET", "runs/get", "read", get),
    mlflow_route("POST", "runs/search", "read", search),
    mlflow_route("POST", "runs/update", "write", StoreWrite(_update, _updated)),
    mlflow_route("POST", "runs/delete", "admin", StoreWrite(_delete)),
    mlflow_route("POST", "runs/restore", "admin", StoreWrite(_restore)),
    mlflow_route("POST", "runs/log-metric", "write", StoreWrite(_log_metric)),
    mlflow_route("POST", "runs/log-parameter", "write", StoreWrite(_log_param)),
    mlflow_route("POST", "runs/set-tag", "write", StoreWrite(_set_tag)),
    mlflow_route("POST", "runs/delete-tag", "write", StoreWrite(_delete_tag)),
    mlflow_route("POST", "runs/log-batch", "write", StoreWrite(_log_batch)),
    mlflow_route("POST", "runs/log-inputs", "write", StoreWrite(_log_inputs)),
    mlflow_route("POST", "runs/outputs", "write", StoreWrite(_log_outputs)),
    mlflow_route("POST", "runs/log-model", "write", log_model),
)
