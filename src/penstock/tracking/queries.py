"""What a search is given and what it gives: filters in MLflow's grammar, and pages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from penstock.mlflow_api.search.paging import Page
from penstock.tracking.experiments import ViewType
from penstock.tracking.metrics import Points

__all__ = ["ExperimentQuery", "HistoryPage", "LoggedModelQuery", "Page", "RunQuery"]


@dataclass(frozen=True, slots=True)
class ExperimentQuery:
    """`filter` and `order_by` are texts in MLflow's grammar; an invalid one raises SearchInvalid when it is asked."""

    filter: str = ""
    order_by: Sequence[str] = ()
    view: ViewType = "ACTIVE_ONLY"
    limit: int = 1000
    page_token: str = ""


@dataclass(frozen=True, slots=True)
class RunQuery:
    """Runs of these experiments; without any experiment nothing is found."""

    experiment_ids: Sequence[str]
    filter: str = ""
    order_by: Sequence[str] = ()
    view: ViewType = "ACTIVE_ONLY"
    limit: int = 1000
    page_token: str = ""


@dataclass(frozen=True, slots=True)
class LoggedModelQuery:
    """`datasets` are (name, digest) pairs, the digest empty where any will do: metrics in filter and order are those
    over one of them. `order_by` has MLflow's objects: `field_name`, `ascending`, `dataset_name`, `dataset_digest`."""

    experiment_ids: Sequence[str]
    filter: str = ""
    order_by: Sequence[Mapping[str, object]] = ()
    datasets: Sequence[tuple[str, str]] = ()
    limit: int = 100
    page_token: str = ""


@dataclass(frozen=True, slots=True)
class HistoryPage:
    """Points of one series, by timestamp, step and value."""

    points: Points = field(default_factory=Points)
    next_token: str = ""
