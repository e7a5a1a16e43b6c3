"""Histories of metrics: `/mlflow/metrics/…`."""

from __future__ import annotations

from collections.abc import Sequence

import orjson

from penstock.errors import RunNotFound, TrackingInvalid
from penstock.hub.answers import HubAnswer, json_answer
from penstock.hub.context import HubContext
from penstock.hub.fields import Fields
from penstock.hub.json_forms import points_json
from penstock.hub.requests import HubRequest
from penstock.hub.routes import HubRoute, mlflow_route
from penstock.tracking.metrics import Points

MAX_HISTORY = 25_000
MAX_BULK_RUNS = 100
MAX_INTERVAL = 2500
_DEFAULT_INTERVAL = 320


async def get_history(hub: HubContext, request: HubRequest) -> HubAnswer:
    fields = request.fields
    run_id, key = fields.required("run_id", "run_uuid"), fields.required("metric_key")
    limit = fields.integer("max_results", MAX_HISTORY)
    token = fields.text("page_token")

    def read() -> bytes:
        try:
            page = hub.stores.tracking.history(run_id, key, limit=limit, page_token=token)
        except RunNotFound:  # it has no points, says MLflow
            return b"{}"
        content = {"metrics": points_json(key, page.points)} if len(page.points) else {}
        return orjson.dumps({**content, **({"next_page_token": page.next_token} if page.next_token else {})})

    return HubAnswer(await hub.stores.read(read))


async def get_history_bulk(hub: HubContext, request: HubRequest) -> HubAnswer:
    run_ids, key = _bulk(request.fields, "run_id", "GetMetricHistoryBulk request must specify at least one run_id.")
    limit = min(request.fields.integer("max_results", MAX_HISTORY), MAX_HISTORY)
    found = await hub.stores.read(lambda: hub.stores.tracking.histories(run_ids, key, limit=limit))
    return json_answer({"metrics": _with_runs(key, found)})


async def get_history_bulk_interval(hub: HubContext, request: HubRequest) -> HubAnswer:
    fields = request.fields
    run_ids, key = _bulk(fields, "run_ids", "Missing value for required parameter 'run_ids'.")
    limit = fields.integer("max_results", _DEFAULT_INTERVAL)
    if not 1 <= limit <= MAX_INTERVAL:
        raise TrackingInvalid(
            f"Invalid value {limit} for parameter 'max_results' supplied: it is from 1 to {MAX_INTERVAL}.",
            field="max_results",
        )
    steps = _steps(fields)

    def read() -> bytes:
        found = hub.stores.tracking.sampled(run_ids, key, limit=limit, steps=steps)
        metrics = _with_runs(key, found)
        return orjson.dumps({"metrics": metrics} if metrics else {})

    return HubAnswer(await hub.stores.read(read))


def _steps(fields: Fields) -> tuple[int, int] | None:
    if ("start_step" in fields) != ("end_step" in fields):
        raise TrackingInvalid("If either start_step or end_step are specified, both must be specified.")
    if "start_step" not in fields:
        return None
    first, last = fields.integer("start_step"), fields.integer("end_step")
    if first > last:
        raise TrackingInvalid(
            f"end_step must be greater than start_step. Found start_step={first} and end_step={last}."
        )
    return first, last


def _bulk(fields: Fields, name: str, missing: str) -> tuple[list[str], str]:
    run_ids = fields.texts(name)
    if not fields.text("metric_key") and name == "run_id":
        raise TrackingInvalid("GetMetricHistoryBulk request must specify a metric_key.", field="metric_key")
    if not run_ids:
        raise TrackingInvalid(missing, field=name)
    if len(run_ids) > MAX_BULK_RUNS:
        raise TrackingInvalid(
            f"GetMetricHistoryBulk request cannot specify more than {MAX_BULK_RUNS} run_ids. Received {len(run_ids)}.",
            field=name,
        )
    return run_ids, fields.required("metric_key")


def _with_runs(key: str, found: Sequence[tuple[str, Points]]) -> list[dict[str, object]]:
    return [{**point, "run_id": run_id} for run_id, points in found for point in points_json(key, points)]


ROUTES: Sequence[HubRoute] = (
    mlflow_route("GET", "metrics/get-history", "read", get_history),
    mlflow_route("GET", "metrics/get-history-bulk", "read", get_history_bulk),
    mlflow_route("GET", "metrics/get-history-bulk-interval", "read", get_history_bulk_interval),
)
