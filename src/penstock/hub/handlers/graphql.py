"""`/graphql`: what MLflow's own web page asks besides REST, four queries."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from penstock.errors import PenstockError, TrackingInvalid
from penstock.hub.answers import HubAnswer, json_answer
from penstock.hub.context import HubContext
from penstock.hub.fields import Fields
from penstock.hub.graphql.documents import Document, experiment_document, points_document, run_document
from penstock.hub.graphql.selection import parse_query, select
from penstock.hub.requests import HubRequest
from penstock.hub.routes import HubRoute
from penstock.hub.statuses import status_of
from penstock.mlflow_api.search.printing import quoted
from penstock.registry.entries import VersionQuery
from penstock.tracking.queries import RunQuery
from penstock.tracking.runs import Run

_DEFAULT_POINTS = 320


async def graphql(hub: HubContext, request: HubRequest) -> HubAnswer:
    """An error of the store is an `apiError` of the answer, as in MLflow; one of the query is a 400."""
    query = parse_query(request.fields.required("query"))
    resolve = _ROOTS.get(query.root)
    if resolve is None:
        raise TrackingInvalid(f"There is no GraphQL query {query.root[:60]!r} here.", field="query")
    variables = request.fields.raw("variables")
    given = variables.get(query.variable) if isinstance(variables, Mapping) else None
    fields = Fields(given if isinstance(given, Mapping) else query.given)
    try:
        content = await hub.stores.read(resolve, hub, fields)
    except PenstockError as error:
        status = status_of(error)
        content = {"apiError": {"__typename": "ApiError", "code": status.error_code, "message": str(error)}}
    return json_answer({"data": {query.root: select({"apiError": None, **content}, query.selection)}})


def _get_run(hub: HubContext, fields: Fields) -> Document:
    run = hub.stores.tracking.run(fields.required("runId", "runUuid"))
    return {"__typename": "MlflowGetRunResponse", "run": _documents(hub, [run])[0]}


def _get_experiment(hub: HubContext, fields: Fields) -> Document:
    found = hub.stores.tracking.experiment(fields.required("experimentId"))
    return {"__typename": "MlflowGetExperimentResponse", "experiment": experiment_document(found)}


def _search_runs(hub: HubContext, fields: Fields) -> Document:
    query = RunQuery(
        fields.texts("experimentIds"),
        fields.text("filter"),
        fields.texts("orderBy"),
        fields.choice("runViewType", ("ACTIVE_ONLY", "DELETED_ONLY", "ALL")) or "ACTIVE_ONLY",
        fields.integer("maxResults", 1000),
        fields.text("pageToken"),
    )
    page = hub.stores.tracking.find_runs(query)
    runs = hub.stores.tracking.runs([ref.run_id for ref in page])
    found = _documents(hub, runs)
    return {"__typename": "MlflowSearchRunsResponse", "runs": found, "nextPageToken": page.next_token or None}


def _sample_points(hub: HubContext, fields: Fields) -> Document:
    run_ids, key = fields.texts("runIds"), fields.required("metricKey")
    steps = (fields.integer("startStep"), fields.integer("endStep")) if "startStep" in fields else None
    limit = fields.integer("maxResults", _DEFAULT_POINTS)
    found = hub.stores.tracking.sampled(run_ids, key, limit=limit, steps=steps)
    return {"__typename": "MlflowGetMetricHistoryBulkIntervalResponse", "metrics": points_document(found, key)}


def _documents(hub: HubContext, runs: Sequence[Run]) -> list[Document]:
    """Runs with their experiments, each of which is read once."""
    experiments = {number: hub.stores.tracking.experiment(number) for number in {run.experiment_id for run in runs}}
    return [run_document(run, experiments[run.experiment_id], _versions(hub, run.run_id)) for run in runs]


def _versions(hub: HubContext, run_id: str) -> list[Document]:
    """The registered versions that came from a run."""
    found = hub.stores.registry.find_versions(VersionQuery(filter=f"run_id = {quoted(run_id)}"))
    return [
        {
            "__typename": "MlflowModelVersion",
            "name": version.name,
            "version": version.version,
            "status": version.status,
            "source": version.source,
            "creationTimestamp": str(int(version.created_at.timestamp() * 1000)),
        }
        for version in found
    ]


_ROOTS: Mapping[str, Callable[[HubContext, Fields], Any]] = {
    "mlflowGetRun": _get_run,
    "mlflowGetExperiment": _get_experiment,
    "mlflowSearchRuns": _search_runs,
    "mlflowGetMetricHistoryBulkInterval": _sample_points,
}

ROUTES: Sequence[HubRoute] = (HubRoute("/graphql", ("POST",), "read", graphql),)
