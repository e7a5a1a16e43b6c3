"""Searches for logged models over records, by the grammar's own rules."""

from __future__ import annotations

from collections.abc import Iterable

from penstock.mlflow_api.search.entities import LOGGED_MODELS
from penstock.mlflow_api.search.matching import SearchedDataset
from penstock.mlflow_api.search.paging import Page, find
from penstock.mlflow_api.search.parse import parse_filter, parse_order_fields
from penstock.tracking.memory.records import Datasets, LoggedModelRecord
from penstock.tracking.queries import LoggedModelQuery


class MeasuredModel:
    """A logged model to a search that is given datasets: its metrics are those over one of them."""

    def __init__(self, record: LoggedModelRecord, datasets: Datasets) -> None:
        self.record = record
        self._datasets = datasets

    def attribute(self, name: str) -> str | int | float | None:
        return self.record.attribute(name)

    def metric(self, key: str, dataset_name: str = "", dataset_digest: str = "") -> float | None:
        return self.record.metric_over(self._datasets, key, dataset_name, dataset_digest)

    def param(self, key: str) -> str | None:
        return self.record.param(key)

    def tag(self, key: str) -> str | None:
        return self.record.tag(key)

    def datasets(self) -> Iterable[SearchedDataset]:
        return ()


def find_logged_models(seen: Iterable[LoggedModelRecord], query: LoggedModelQuery) -> Page[LoggedModelRecord]:
    """Where datasets are given and no metric is compared, those with any metric over one of them."""
    over = query.datasets
    by_metric = any(each.kind == "metric" for each in parse_filter(LOGGED_MODELS, query.filter))
    page = find(
        LOGGED_MODELS,
        [MeasuredModel(each, over) for each in seen if by_metric or not over or each.is_measured_over(over)],
        query=query,
        order=parse_order_fields(LOGGED_MODELS, query.order_by),
        mark=[sorted(set(query.experiment_ids)), [list(each) for each in over]],
    )
    return Page(tuple(each.record for each in page), page.next_token)
