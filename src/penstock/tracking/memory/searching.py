"""Searches over records, by the grammar's own rules."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeVar

from penstock.errors import TrackingInvalid
from penstock.mlflow_api.search.entities import LOGGED_MODELS, SearchEntity
from penstock.mlflow_api.search.matching import Searchable, SearchedDataset, matches, sort_key, sort_values
from penstock.mlflow_api.search.page_token import decode, encode, fingerprint
from penstock.mlflow_api.search.parse import parse_filter, parse_order_fields
from penstock.mlflow_api.search.tree import OrderBy
from penstock.tracking.memory.records import Datasets, LoggedModelRecord
from penstock.tracking.queries import ExperimentQuery, LoggedModelQuery, Page, RunQuery

S = TypeVar("S", bound=Searchable)


def find(
    entity: SearchEntity,
    seen: Iterable[S],
    *,
    query: ExperimentQuery | RunQuery | LoggedModelQuery,
    order: Sequence[OrderBy],
    mark: Sequence[object],
) -> Page[S]:
    """A page of those that fit."""
    if not 1 <= query.limit <= entity.max_page:
        raise TrackingInvalid(
            f"max_results is {query.limit}, but a search for {entity.name} gives from 1 to {entity.max_page}.",
            field="max_results",
        )
    comparisons = entity.visible(parse_filter(entity, query.filter))
    full = entity.full_order(order)
    query_mark = fingerprint(query.filter, [repr(by) for by in full], *mark)
    found = [each for each in seen if matches(comparisons, each)]
    keyed = sorted(((sort_key(full, sort_values(full, each)), each) for each in found), key=lambda pair: pair[0])
    if query.page_token:
        last = sort_key(full, decode(query.page_token, entity.name, query_mark, entity.sort_types(full)))
        keyed = [pair for pair in keyed if pair[0] > last]
    page = tuple(each for _, each in keyed[: query.limit])
    if len(keyed) <= query.limit:
        return Page(page)
    return Page(page, encode(entity.name, query_mark, sort_values(full, page[-1])))


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
