"""What the store in memory holds: records that change, of which it hands out values that do not."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from penstock.mlflow_api.search.matching import SearchedDataset
from penstock.tracking.datasets import CONTEXT_TAG, DatasetInput
from penstock.tracking.experiments import Experiment, Lifecycle
from penstock.tracking.logged_models import LoggedModel, LoggedModelMetric, LoggedModelStatus
from penstock.tracking.metrics import Metric, Point, Points, SeriesSummary, rank
from penstock.tracking.runs import ModelOutput, Run, RunStatus

# Names and digests.
Datasets: TypeAlias = Sequence[tuple[str, str]]


@dataclass(slots=True)
class ExperimentRecord:
    """Searched by MLflow's names."""

    number: int
    name: str
    artifact_location: str
    created: int
    updated: int
    deleted: bool = False
    tags: dict[str, str] = field(default_factory=dict)

    @property
    def value(self) -> Experiment:
        stage: Lifecycle = "deleted" if self.deleted else "active"
        tags = dict(sorted(self.tags.items()))
        return Experiment(str(self.number), self.name, self.artifact_location, stage, self.created, self.updated, tags)

    def attribute(self, name: str) -> str | int | float | None:
        known = {"creation_time": self.created, "last_update_time": self.updated, "experiment_id": self.number}
        return self.name if name == "name" else known[name]

    def metric(self, key: str, dataset_name: str = "", dataset_digest: str = "") -> float | None:
        return None

    def param(self, key: str) -> str | None:
        return None

    def tag(self, key: str) -> str | None:
        return self.tags.get(key)

    def datasets(self) -> Iterable[SearchedDataset]:
        return ()


class SeriesRecord:
    """The points of one series; the same point twice is one."""

    def __init__(self) -> None:
        # The whole mutable state, by what makes a point the same: NaN is itself.
        self._points: dict[tuple[int, int, float, bool], Point] = {}

    def add(self, point: Point) -> None:
        nan = math.isnan(point.value)
        self._points[point.step, point.timestamp, 0.0 if nan else point.value, nan] = point

    @property
    def latest(self) -> Point:
        return max(self._points.values(), key=rank)

    @property
    def points(self) -> Points:
        return Points.of(self._points[at] for at in sorted(self._points))

    def summary(self, key: str) -> SeriesSummary:
        steps = [point.step for point in self._points.values()]
        values = [point.value for point in self._points.values() if not math.isnan(point.value)]
        least, most = (min(values), max(values)) if values else (math.nan, math.nan)
        return SeriesSummary(key, len(self._points), min(steps), max(steps), self.latest, least, most)


@dataclass(slots=True)
class RunRecord:
    """Searched by MLflow's names."""

    run_id: str
    experiment: int
    name: str
    user_id: str
    start_time: int
    artifact_uri: str
    changed: int
    status: RunStatus = "RUNNING"
    end_time: int | None = None
    deleted: bool = False
    params: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    series: dict[str, SeriesRecord] = field(default_factory=dict)
    inputs: dict[tuple[str, str], DatasetInput] = field(default_factory=dict)
    models_in: dict[str, int] = field(default_factory=dict)
    models_out: dict[str, int] = field(default_factory=dict)

    @property
    def value(self) -> Run:
        latest = ((key, self.series[key].latest) for key in sorted(self.series))
        return Run(
            run_id=self.run_id,
            experiment_id=str(self.experiment),
            name=self.name,
            user_id=self.user_id,
            status=self.status,
            start_time=self.start_time,
            end_time=self.end_time,
            artifact_uri=self.artifact_uri,
            lifecycle="deleted" if self.deleted else "active",
            changed=self.changed,
            metrics=tuple(Metric(key, point.value, point.timestamp, point.step) for key, point in latest),
            params=dict(sorted(self.params.items())),
            tags=dict(sorted(self.tags.items())),
            datasets=tuple(self.inputs.values()),
            model_inputs=_models(self.models_in),
            model_outputs=_models(self.models_out),
        )

    def attribute(self, name: str) -> str | int | float | None:
        found: str | int | float | None = getattr(self, "name" if name == "run_name" else name)
        return found

    def metric(self, key: str, dataset_name: str = "", dataset_digest: str = "") -> float | None:
        return self.series[key].latest.value if key in self.series else None

    def param(self, key: str) -> str | None:
        return self.params.get(key)

    def tag(self, key: str) -> str | None:
        return self.tags.get(key)

    def datasets(self) -> Iterable[SearchedDataset]:
        for given in self.inputs.values():
            yield SearchedDataset(given.dataset.name, given.dataset.digest, given.tags.get(CONTEXT_TAG) or None)


@dataclass(slots=True)
class LoggedModelRecord:
    """Searched by MLflow's names. Metrics are by key, timestamp, step and run, in which the value has no part."""

    model_id: str
    experiment: int
    name: str
    artifact_uri: str
    created: int
    updated: int
    model_type: str
    source_run_id: str
    status: LoggedModelStatus = "LOGGED_MODEL_PENDING"
    deleted: bool = False
    params: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    metrics: dict[tuple[str, int, int, str], LoggedModelMetric] = field(default_factory=dict)

    @property
    def value(self) -> LoggedModel:
        return LoggedModel(
            model_id=self.model_id,
            experiment_id=str(self.experiment),
            name=self.name,
            artifact_uri=self.artifact_uri,
            creation_time=self.created,
            last_update_time=self.updated,
            status=self.status,
            model_type=self.model_type,
            source_run_id=self.source_run_id,
            params=dict(sorted(self.params.items())),
            tags=dict(sorted(self.tags.items())),
            metrics=tuple(sorted(self.metrics.values(), key=lambda e: (e.metric.key, *_rank(e.metric)))),
        )

    def attribute(self, name: str) -> str | int | float | None:
        """An empty text is none."""
        known: dict[str, str | int | float | None] = {
            "artifact_location": self.artifact_uri,
            "creation_timestamp_ms": self.created,
            "experiment_id": self.experiment,
            "last_updated_timestamp_ms": self.updated,
            "status_message": None,
        }
        found: str | int | float | None = known[name] if name in known else getattr(self, name)
        return None if found == "" else found

    def metric(self, key: str, dataset_name: str = "", dataset_digest: str = "") -> float | None:
        return self.metric_over((), key, dataset_name, dataset_digest)

    def metric_over(self, datasets: Datasets, key: str, name: str = "", digest: str = "") -> float | None:
        """The latest value over one of the datasets, where there are any, that is over the one that is named."""
        points = (each.metric for each in self.metrics.values() if each.metric.key == key)
        wanted = (point for point in points if _is_over(point, datasets) and _is_over(point, [(name, digest)]))
        latest = max(wanted, key=_rank, default=None)
        return None if latest is None else latest.value

    def is_measured_over(self, datasets: Datasets) -> bool:
        return any(_is_over(each.metric, datasets) for each in self.metrics.values())

    def param(self, key: str) -> str | None:
        return self.params.get(key)

    def tag(self, key: str) -> str | None:
        return self.tags.get(key)

    def datasets(self) -> Iterable[SearchedDataset]:
        return ()


def _is_over(metric: Metric, datasets: Datasets) -> bool:
    """Empty names and digests fit all, and so does no dataset."""
    return not datasets or any(
        name in ("", metric.dataset_name) and digest in ("", metric.dataset_digest) for name, digest in datasets
    )


def _rank(metric: Metric) -> tuple[int, int, float]:
    return metric.step, metric.timestamp, metric.value


def _models(models: dict[str, int]) -> tuple[ModelOutput, ...]:
    return tuple(ModelOutput(*each) for each in sorted(models.items(), key=lambda item: (item[1], item[0])))
