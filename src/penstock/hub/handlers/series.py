"""What is known of a run's metrics at once, which MLflow's REST tells only by all their points:
`/api/penstock/v1/runs/series`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import orjson

from penstock.errors import TrackingInvalid
from penstock.hub.answers import HubAnswer
from penstock.hub.context import HubContext
from penstock.hub.json_forms import value_json
from penstock.hub.requests import HubRequest
from penstock.hub.routes import HubRoute
from penstock.tracking.interface import TrackingStore
from penstock.tracking.metrics import SeriesSummary

# Series in one answer, each of which is read from end to end for its course; means that make up a course.
_PAGE = 100
_MAX_BUCKETS = 500


async def get_series(hub: HubContext, request: HubRequest) -> HubAnswer:
    """All series of a run by key, `_PAGE` at once, those after the key `page_token`; with `buckets`, each with the
    means of so many stretches of its steps."""
    fields = request.fields
    run_id, after = fields.required("run_id", "run_uuid"), fields.text("page_token")
    buckets = fields.integer("buckets", 0)
    if not 0 <= buckets <= _MAX_BUCKETS:
        raise TrackingInvalid(f"Parameter 'buckets' must be from 0 to {_MAX_BUCKETS}.", field="buckets")

    def read() -> bytes:
        found = [each for each in hub.stores.tracking.series(run_id) if each.key > after]
        page = [_series_json(hub.stores.tracking, run_id, each, buckets) for each in found[:_PAGE]]
        token = {"next_page_token": found[_PAGE - 1].key} if len(found) > _PAGE else {}
        return orjson.dumps({"series": page, **token})

    return HubAnswer(await hub.stores.read(read))


def _series_json(store: TrackingStore, run_id: str, series: SeriesSummary, buckets: int) -> dict[str, Any]:
    """`minimum` and `maximum` are left out where no point is a number."""
    bounds = {"minimum": series.minimum, "maximum": series.maximum}
    return {
        "key": series.key,
        "points": series.count,
        "first_step": series.first_step,
        "last_step": series.last_step,
        "value": value_json(series.latest.value),
        "step": series.latest.step,
        "timestamp": series.latest.timestamp,
        **{name: value for name, value in bounds.items() if not math.isnan(value)},
        **({"means": _means(store, run_id, series.key, buckets)} if buckets else {}),
    }


def _means(store: TrackingStore, run_id: str, key: str, buckets: int) -> list[float | str]:
    charts = store.chart([run_id], key, buckets=buckets)
    return [value_json(bucket.mean) for _, chart in charts for bucket in chart]


ROUTES: Sequence[HubRoute] = (HubRoute("/api/penstock/v1/runs/series", ("GET",), "read", get_series),)
