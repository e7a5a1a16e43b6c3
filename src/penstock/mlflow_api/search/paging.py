"""Pages of what a search finds, and the search itself over plain values, for stores that have no database."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from penstock.errors import TrackingInvalid
from penstock.mlflow_api.search.entities import SearchEntity
from penstock.mlflow_api.search.matching import Searchable, matches, sort_key, sort_values
from penstock.mlflow_api.search.page_token import decode, encode, fingerprint
from penstock.mlflow_api.search.parse import parse_filter
from penstock.mlflow_api.search.tree import OrderBy

T = TypeVar("T")
S = TypeVar("S", bound=Searchable)


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Some of what was found, in order. `next_token` finds what follows, and is empty on the last page."""

    items: tuple[T, ...]
    next_token: str = ""

    def __iter__(self) -> Iterator[T]:
        return iter(self.items)

    def __len__(self) -> int:
        return len(self.items)


class SearchQuery(Protocol):
    """What all searches are given: a filter in MLflow's grammar, how many to give, and where to go on."""

    @property
    def filter(self) -> str: ...

    @property
    def limit(self) -> int: ...

    @property
    def page_token(self) -> str: ...


def check_limit(entity: SearchEntity, query: SearchQuery) -> None:
    """Raises TrackingInvalid."""
    if not 1 <= query.limit <= entity.max_page:
        raise TrackingInvalid(
            f"Invalid value {query.limit} for parameter 'max_results' supplied: "
            f"a search for {entity.name} gives from 1 to {entity.max_page}.",
            field="max_results",
        )


def find(
    entity: SearchEntity, seen: Iterable[S], *, query: SearchQuery, order: Sequence[OrderBy], mark: Sequence[object]
) -> Page[S]:
    """A page of those that fit. `mark` holds whatever else makes the query this one. Raises SearchInvalid, and
    TrackingInvalid for a limit that is out of bounds."""
    check_limit(entity, query)
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
