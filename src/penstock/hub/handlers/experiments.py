"""Experiments: `/mlflow/experiments/…`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import get_args

from penstock.errors import TrackingInvalid
from penstock.hub.answers import EMPTY, HubAnswer, json_answer
from penstock.hub.context import HubContext
from penstock.hub.fields import as_mapping
from penstock.hub.files.places import check_location
from penstock.hub.json_forms import experiment_json
from penstock.hub.requests import HubRequest
from penstock.hub.routes import HubRoute, mlflow_route
from penstock.tracking.experiments import ViewType
from penstock.tracking.queries import ExperimentQuery
from penstock.tracking.writes import (
    CreateExperiment,
    DeleteExperiment,
    DeleteExperimentTag,
    RenameExperiment,
    RestoreExperiment,
    SetExperimentTag,
)

VIEW_TYPES: tuple[ViewType, ...] = get_args(ViewType)
_SEARCH_DATASETS_MAX = 1000
_SEARCHED_EXPERIMENTS_MAX = 20


async def create(hub: HubContext, request: HubRequest) -> HubAnswer:
    fields = request.fields
    location = check_location(fields.text("artifact_location"), hub.stores.registry.artifact_root)
    change = CreateExperiment(fields.required("name"), location, as_mapping(fields.pairs("tags")))
    return json_answer({"experiment_id": await hub.stores.write(change)})


async def get(hub: HubContext, request: HubRequest) -> HubAnswer:
    found = await hub.stores.read(hub.stores.tracking.experiment, request.fields.experiment_id())
    return json_answer({"experiment": experiment_json(found)})


async def get_by_name(hub: HubContext, request: HubRequest) -> HubAnswer:
    name = request.fields.required("experiment_name")
    found = await hub.stores.read(hub.stores.tracking.experiment_by_name, name)
    return json_answer({"experiment": experiment_json(found)})


async def search(hub: HubContext, request: HubRequest) -> HubAnswer:
    fields = request.fields
    query = ExperimentQuery(
        filter=fields.text("filter"),
        order_by=fields.texts("order_by"),
        view=fields.choice("view_type", VIEW_TYPES) or "ACTIVE_ONLY",
        limit=fields.integer("max_results", 1000),
        page_token=fields.text("page_token"),
    )
    page = await hub.stores.read(hub.stores.tracking.find_experiments, query)
    found = {"experiments": [experiment_json(each) for each in page]} if page.items else {}
    return json_answer({**found, **({"next_page_token": page.next_token} if page.next_token else {})})


async def update(hub: HubContext, request: HubRequest) -> HubAnswer:
    fields = request.fields
    await hub.stores.write(RenameExperiment(fields.experiment_id(), fields.required("new_name")))
    return EMPTY


async def delete(hub: HubContext, request: HubRequest) -> HubAnswer:
    await hub.stores.write(DeleteExperiment(request.fields.experiment_id()))
    return EMPTY


async def restore(hub: HubContext, request: HubRequest) -> HubAnswer:
    await hub.stores.write(RestoreExperiment(request.fields.experiment_id()))
    return EMPTY


async def set_tag(hub: HubContext, request: HubRequest) -> HubAnswer:
    fields = request.fields
    change = SetExperimentTag(fields.experiment_id(), fields.required("key"), fields.text("value"))
    await hub.stores.write(change)
    return EMPTY


async def delete_tag(hub: HubContext, request: HubRequest) -> HubAnswer:
    fields = request.fields
    await hub.stores.write(DeleteExperimentTag(fields.experiment_id(), fields.required("key")))
    return EMPTY


async def search_datasets(hub: HubContext, request: HubRequest) -> HubAnswer:
    ids = request.fields.texts("experiment_ids")
    if not ids:
        raise TrackingInvalid("SearchDatasets request must specify at least one experiment_id.", field="experiment_ids")
    if len(ids) > _SEARCHED_EXPERIMENTS_MAX:
        raise TrackingInvalid(
            f"SearchDatasets request cannot specify more than {_SEARCHED_EXPERIMENTS_MAX} experiment_ids. "
            f"Received {len(ids)} experiment_ids.",
            field="experiment_ids",
        )
    found = await hub.stores.read(hub.stores.tracking.datasets, ids, _SEARCH_DATASETS_MAX)
    summaries = [
        {
            "experiment_id": each.experiment_id,
            "name": each.name,
            "digest": each.digest,
            **({"context": each.context} if each.context else {}),
        }
        for each in found
    ]
    return json_answer({"dataset_summaries": summaries} if summaries else {})


ROUTES: Sequence[HubRoute] = (
    mlflow_route("POST", "experiments/create", "write", create),
    mlflow_route("GET", "experiments/get", "read", get),
    mlflow_route("GET", "experiments/get-by-name", "read", get_by_name),
    mlflow_route("GET POST", "experiments/search", "read", search),
    mlflow_route("POST", "experiments/update", "write", update),
    mlflow_route("POST", "experiments/delete", "admin", delete),
    mlflow_route("POST", "experiments/restore", "admin", restore),
    mlflow_route("POST", "experiments/set-experiment-tag", "write", set_tag),
    mlflow_route("POST", "experiments/delete-experiment-tag", "write", delete_tag),
    mlflow_route("POST", "experiments/search-datasets", "read", search_datasets),
)
