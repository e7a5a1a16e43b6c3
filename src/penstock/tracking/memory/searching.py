"""Searches over records, by the grammar's own rules."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeVar

from penstock.errors import TrackingInvalid
from penstock.mlflow_api.search.entities import SearchEntity
from penstock.mlflow_api.search.matching import Searchable, SearchedDataset, matches, sort_key, sort_values
from penstock.mlflow_api.search.page_token import decode, encode, fingerprint
from penstock.mlflow_api.search.parse import parse_filter
from penstock.mlflow_api.search.tree import Comparison, OrderBy
from penstock.tracking.memory.records import LoggedModelRecord
from penstock.tracking.queries import ExperimentQuery, LoggedModelQuery, Page, RunQuery

S = TypeVar("S", bound=Searchable)


def find(
    entity: SearchEntity,
    seen: Iterable[S],
    *,
    query: ExperimentQuery | RunQuery | LoggedModelQuery,
    order: Sequence[OrderBy],
    mark: Sequence[object],
    over: Sequence[tuple[str, str]] = (),
) -> Page[S]:
    """A page of those that fit. `over` are datasets, of which a metric in the filter has to be measured over one."""
    if not 1 <= query.limit <= entity.max_page:
        raise TrackingInvalid(
            f"max_results is {query.limit}, but a search for {entity.name} gives from 1 to {entity.max_page}.",
            field="max_results",
        )
    comparisons = entity.visible(parse_filter(entity, query.filter))
    full = entity.full_order(order)
    query_mark = fingerprint(query.filter, [repr(by) for by in full], *mark, list(over))
    found = [each for each in seen if _fits(comparisons, each, over)]
    keyed = sorted(((sort_key(full, sort_values(full, each)), each) for each in found), key=lambda pair: pair[0])
    if query.page_token:
        last = sort_key(full, decode(query.page_token, entity.name, query_mark, entity.sort_types(full)))
        keyed = [pair for pair in keyed if pair[0] > last]
    page = tuple(each for _, each in keyed[: query.limit])
    if len(keyed) <= query.limit:
        return Page(page)
    return Page(page, encode(entity.name, query_mark, sort_values(full, page[-1])))


def _fits(comparisons: Sequence[Comparison], subject: Searchable, over: Sequence[tuple[str, str]]) -> bool:
    """A comparison with a metric of a logged model asks whether any point fits."""
    if not isinstance(subject, LoggedModelRecord):
        return matches(comparisons, subject)
    rest = [each for each in comparisons if each.kind != "metric"]
    return matches(rest, subject) and all(
        any(
            matches([each], _OnePoint(point.value))
            for name, digest in over or [("", "")]
            for point in subject.points(each.key, name, digest)
        )
        for each in comparisons
        if each.kind == "metric"
    )


class _OnePoint:
    """Something to search in that has one value, whatever metric is asked for."""

    def __init__(self, value: float) -> None:
        self._value = value

    def attribute(self, name: str) -> str | int | float | None:
        return None

    def metric(self, key: str, dataset_name: str = "", dataset_digest: str = "") -> float | None:
        return self._value

    def param(self, key: str) -> str | None:
        return None

    def tag(self, key: str) -> str | None:
        return None

    def datasets(self) -> Iterable[SearchedDataset]:
        return ()
