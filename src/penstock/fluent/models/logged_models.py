"""Logged models: what MLflow 3 and a hub keep of a model beside its files, under an id of its own, `m-…`.

A server that knows none, as MLflow before 3, answers 404 for all of these paths.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from penstock.errors import TrackingError, TrackingRefused, TrackingUnavailable
from penstock.fluent.experiments import current_experiment
from penstock.fluent.reading import delivered, get_run
from penstock.fluent.transport.interface import TrackingTransport
from penstock.fluent.views import MetricPoint, pairs_of

_PAGE = 50


@dataclass(frozen=True)
class TrackedModel:
    """A logged model as it was when it was read. `metrics` are the points that were logged for it, by runs."""

    model_id: str
    experiment_id: str
    name: str
    artifact_location: str = ""
    creation_timestamp: int = 0
    last_updated_timestamp: int = 0
    model_type: str = ""
    source_run_id: str = ""
    status: str = "LOGGED_MODEL_PENDING"
    tags: Mapping[str, str] = field(default_factory=dict)
    params: Mapping[str, str] = field(default_factory=dict)
    metrics: Sequence[MetricPoint] = ()

    @property
    def model_uri(self) -> str:
        return f"models:/{self.model_id}"

    @classmethod
    def of_json(cls, found: Mapping[str, Any]) -> TrackedModel:
        """Of the object that MLflow's REST has."""
        info, data = found["info"], found.get("data", {})
        texts = ("model_id", "experiment_id", "name", "model_type", "source_run_id", "status")
        return cls(
            **{name: str(info.get(name, "")) for name in texts},
            artifact_location=info.get("artifact_uri", ""),
            creation_timestamp=int(info.get("creation_timestamp_ms") or 0),
            last_updated_timestamp=int(info.get("last_updated_timestamp_ms") or 0),
            tags=pairs_of(info.get("tags", [])),
            params=pairs_of(data.get("params", [])),
            metrics=[MetricPoint.of_json(each) for each in data.get("metrics", [])],
        )


def create_logged_model(
    transport: TrackingTransport, fields: Mapping[str, Any], params: Mapping[str, Any], tags: Mapping[str, Any]
) -> TrackedModel | None:
    """A new one, which has no files yet; None where the server has no such entities. Raises TrackingRefused, and
    TrackingUnavailable."""
    texts = {name: str(text) for name, text in fields.items() if text}
    try:
        made = transport.post("logged-models", {**texts, "params": _pairs(params), "tags": _pairs(tags)})
    except (TrackingRefused, TrackingUnavailable) as error:
        if is_unknown_path(error):
            return None
        raise
    return TrackedModel.of_json(made["model"])


def get_logged_model(model_id: str) -> TrackedModel:
    """Raises TrackingRefused where there is none."""
    return TrackedModel.of_json(delivered().transport.get(f"logged-models/{model_id}", {})["model"])


def search_logged_models(
    experiment_ids: Sequence[str] | None = None,
    filter_string: str | None = None,
    datasets: Sequence[Mapping[str, str]] | None = None,
    max_results: int | None = None,
    order_by: Sequence[Mapping[str, Any]] | None = None,
    output_format: str = "list",
) -> list[TrackedModel]:
    """Those of the experiments, or of the one that runs are filed under. Raises TrackingRefused for a filter that
    cannot be read."""
    destination = delivered()
    fields: dict[str, Any] = {
        "experiment_ids": list(experiment_ids or current_experiment(destination)[:1]),
        **({"filter": filter_string} if filter_string else {}),
        **({"datasets": list(datasets)} if datasets else {}),
        **({"order_by": list(order_by)} if order_by else {}),
    }
    found: list[TrackedModel] = []
    while max_results is None or len(found) < max_results:
        left = _PAGE if max_results is None else min(max_results - len(found), _PAGE)
        page = destination.transport.post("logged-models/search", {**fields, "max_results": left})
        found += [TrackedModel.of_json(each) for each in page.get("models", [])]
        if not page.get("next_page_token"):
            break
        fields["page_token"] = page["next_page_token"]
    return found


def set_logged_model_tags(model_id: str, tags: Mapping[str, Any]) -> None:
    """In place of their values before."""
    delivered().transport.send("PATCH", f"logged-models/{model_id}/tags", {"tags": _pairs(tags)})


def delete_logged_model_tag(model_id: str, key: str) -> None:
    """Raises TrackingRefused where there is none."""
    delivered().transport.send("DELETE", f"logged-models/{model_id}/tags/{key}", {})


def delete_logged_model(model_id: str) -> None:
    """For good, as far as clients see."""
    delivered().transport.send("DELETE", f"logged-models/{model_id}", {})


def model_of_run(run_id: str, name: str) -> TrackedModel | None:
    """The one that a run logged last under a name; None where it logged none, as models were files of runs before
    MLflow 3."""
    run = get_run(run_id)
    quoted = name.replace("'", "''")
    try:
        found = search_logged_models([run.info.experiment_id], f"name = '{quoted}'")
    except (TrackingRefused, TrackingUnavailable) as error:
        if is_unknown_path(error):
            return None
        raise
    theirs = [model for model in found if model.source_run_id == run.info.run_id]
    return max(theirs, key=lambda model: model.creation_timestamp, default=None)


def is_unknown_path(error: TrackingError) -> bool:
    """Whether a server has no such call: an answer for something that is not there names what it is."""
    missing = getattr(error, "error_code", "") in ("", "ENDPOINT_NOT_FOUND")
    return missing and getattr(error, "status", 0) in (404, 405)


def _pairs(texts: Mapping[str, Any]) -> list[dict[str, str]]:
    return [{"key": key, "value": str(value)} for key, value in texts.items()]
