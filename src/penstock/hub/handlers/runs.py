"""Runs: `/mlflow/runs/…`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import get_args

import orjson

from penstock.errors import TrackingInvalid
from penstock.hub.answers import EMPTY, HubAnswer, json_answer
from penstock.hub.context import HubContext
from penstock.hub.fields import Fields, as_mapping
from penstock.hub.handlers.experiments import VIEW_TYPES
from penstock.hub.json_forms import run_info_json, run_json
from penstock.hub.requests import HubRequest
from penstock.hub.routes import HubRoute, mlflow_route
from penstock.tracking.datasets import Dataset, DatasetInput
from penstock.tracking.metrics import Metric
from penstock.tracking.queries import RunQuery
from penstock.tracking.runs import ModelOutput, RunStatus
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


async def create(hub: HubContext, request: HubRequest) -> HubAnswer:
    fields = request.fields
    change = CreateRun(
        fields.experiment_id(),
        fields.text("run_name"),
        fields.text("user_id"),
        fields.integer("start_time", 0),
        as_mapping(fields.pairs("tags")),
        # Which MLflow's clients never send. One who makes the id may ask again after a lost answer: there is one run.
        fields.text("run_id"),
    )
    made = await hub.stores.write(change)
    # There are no outputs of a run that begins, and MLflow does not name them.
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


async def update(hub: HubContext, request: HubRequest) -> HubAnswer:
    fields = request.fields
    change = UpdateRun(
        fields.required("run_id", "run_uuid"),
        fields.choice("status", _STATUSES),
        fields.integer("end_time") if "end_time" in fields else None,
        fields.text("run_name"),
    )
    return json_answer({"run_info": run_info_json(await hub.stores.write(change))})


async def delete(hub: HubContext, request: HubRequest) -> HubAnswer:
    await hub.stores.write(DeleteRun(request.fields.required("run_id")))
    return EMPTY


async def restore(hub: HubContext, request: HubRequest) -> HubAnswer:
    await hub.stores.write(RestoreRun(request.fields.required("run_id")))
    return EMPTY


async def log_metric(hub: HubContext, request: HubRequest) -> HubAnswer:
    change = LogBatch(request.fields.required("run_id", "run_uuid"), [_metric(request.fields)])
    await hub.stores.write(change)
    return EMPTY


async def log_param(hub: HubContext, request: HubRequest) -> HubAnswer:
    fields = request.fields
    param = (fields.required("key"), fields.text("value"))
    await hub.stores.write(LogBatch(fields.required("run_id", "run_uuid"), params=[param]))
    return EMPTY


async def set_tag(hub: HubContext, request: HubRequest) -> HubAnswer:
    fields = request.fields
    tag = (fields.required("key"), fields.text("value"))
    await hub.stores.write(LogBatch(fields.required("run_id", "run_uuid"), tags=[tag]))
    return EMPTY


async def delete_tag(hub: HubContext, request: HubRequest) -> HubAnswer:
    await hub.stores.write(DeleteTag(request.fields.required("run_id"), request.fields.required("key")))
    return EMPTY


async def log_batch(hub: HubContext, request: HubRequest) -> HubAnswer:
    fields = request.fields
    run_id = fields.required("run_id", "run_uuid")
    metrics = [_metric(each) for each in fields.each("metrics")]
    await hub.stores.write(LogBatch(run_id, metrics, fields.pairs("params"), fields.pairs("tags")))
    return EMPTY


async def log_inputs(hub: HubContext, request: HubRequest) -> HubAnswer:
    fields = request.fields
    datasets = [_dataset_input(each) for each in fields.each("datasets")]
    models = [ModelOutput(each.required("model_id")) for each in fields.each("models")]
    await hub.stores.write(LogInputs(fields.required("run_id"), datasets, models))
    return EMPTY


async def log_outputs(hub: HubContext, request: HubRequest) -> HubAnswer:
    fields = request.fields
    fields.present("models")
    models = [ModelOutput(each.required("model_id"), each.integer("step", 0)) for each in fields.each("models")]
    await hub.stores.write(LogOutputs(fields.required("run_id"), models))
    return EMPTY


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
    mlflow_route("POST", "runs/create", "write", create),
    mlflow_route("GET", "runs/get", "read", get),
    mlflow_route("POST", "runs/search", "read", search),
    mlflow_route("POST", "runs/update", "write", update),
    mlflow_route("POST", "runs/delete", "admin", delete),
    mlflow_route("POST", "runs/restore", "admin", restore),
    mlflow_route("POST", "runs/log-metric", "write", log_metric),
    mlflow_route("POST", "runs/log-parameter", "write", log_param),
    mlflow_route("POST", "runs/set-tag", "write", set_tag),
    mlflow_route("POST", "runs/delete-tag", "write", delete_tag),
    mlflow_route("POST", "runs/log-batch", "write", log_batch),
    mlflow_route("POST", "runs/log-inputs", "write", log_inputs),
    mlflow_route("POST", "runs/outputs", "write", log_outputs),
    mlflow_route("POST", "runs/log-model", "write", log_model),
)
