"""Logged models: `/mlflow/logged-models/…`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import get_args

from penstock.hub.answers import EMPTY, HubAnswer, json_answer
from penstock.hub.context import HubContext
from penstock.hub.fields import as_mapping
from penstock.hub.json_forms import logged_model_json
from penstock.hub.requests import HubRequest
from penstock.hub.routes import HubRoute, mlflow_route
from penstock.tracking.logged_models import LoggedModel, LoggedModelStatus
from penstock.tracking.queries import LoggedModelQuery
from penstock.tracking.writes import (
    CreateLoggedModel,
    DeleteLoggedModel,
    DeleteLoggedModelTag,
    FinalizeLoggedModel,
    LogLoggedModelParams,
    SetLoggedModelTags,
)

_STATUSES: tuple[LoggedModelStatus, ...] = get_args(LoggedModelStatus)


async def create(hub: HubContext, request: HubRequest) -> HubAnswer:
    fields = request.fields
    change = CreateLoggedModel(
        fields.experiment_id(),
        fields.text("name"),
        fields.text("source_run_id"),
        fields.text("model_type"),
        fields.pairs("params"),
        as_mapping(fields.pairs("tags")),
    )
    return _answer(await hub.stores.write(change))


async def get(hub: HubContext, request: HubRequest) -> HubAnswer:
    return _answer(await hub.stores.read(hub.stores.tracking.logged_model, request.path["model_id"]))


async def finalize(hub: HubContext, request: HubRequest) -> HubAnswer:
    status = request.fields.choice("status", _STATUSES)
    request.fields.required("status")
    change = FinalizeLoggedModel(request.path["model_id"], status or "LOGGED_MODEL_READY")
    return _answer(await hub.stores.write(change))


async def set_tags(hub: HubContext, request: HubRequest) -> HubAnswer:
    await hub.stores.write(SetLoggedModelTags(request.path["model_id"], as_mapping(request.fields.pairs("tags"))))
    return EMPTY


async def delete_tag(hub: HubContext, request: HubRequest) -> HubAnswer:
    await hub.stores.write(DeleteLoggedModelTag(request.path["model_id"], request.path["key"]))
    return EMPTY


async def log_params(hub: HubContext, request: HubRequest) -> HubAnswer:
    await hub.stores.write(LogLoggedModelParams(request.path["model_id"], request.fields.pairs("params")))
    return EMPTY


async def delete(hub: HubContext, request: HubRequest) -> HubAnswer:
    await hub.stores.write(DeleteLoggedModel(request.path["model_id"]))
    return EMPTY


async def search(hub: HubContext, request: HubRequest) -> HubAnswer:
    fields = request.fields
    fields.present("experiment_ids")
    query = LoggedModelQuery(
        fields.experiment_ids(),
        fields.text("filter"),
        [each.values for each in fields.each("order_by")],
        [(each.required("dataset_name"), each.text("dataset_digest")) for each in fields.each("datasets")],
        fields.integer("max_results", 100),
        fields.text("page_token"),
    )
    page = await hub.stores.read(hub.stores.tracking.find_logged_models, query)
    found = {"models": [logged_model_json(each) for each in page]} if page.items else {}
    return json_answer({**found, **({"next_page_token": page.next_token} if page.next_token else {})})


def _answer(model: LoggedModel) -> HubAnswer:
    return json_answer({"model": logged_model_json(model)})


ROUTES: Sequence[HubRoute] = (
    mlflow_route("POST", "logged-models", "write", create),
    mlflow_route("POST", "logged-models/search", "read", search),
    mlflow_route("GET", "logged-models/{model_id}", "read", get),
    mlflow_route("PATCH", "logged-models/{model_id}", "write", finalize),
    mlflow_route("DELETE", "logged-models/{model_id}", "admin", delete),
    mlflow_route("PATCH", "logged-models/{model_id}/tags", "write", set_tags),
    mlflow_route("DELETE", "logged-models/{model_id}/tags/{key}", "write", delete_tag),
    mlflow_route("POST", "logged-models/{model_id}/params", "write", log_params),
)
