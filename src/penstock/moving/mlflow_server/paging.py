"""PageWatch: whether the pages of a search lead anywhere. A server, or what stands before it, may hand out a new token
with each page and never come to an end."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from penstock.errors import ImportFailed

# Pages in a row that bring nothing: what moves between two questions may come again, and a page may be empty.
IDLE_PAGES = 5
# So many of one kind are held, or their ids are. A server with more is a day's work to ask.
MOST_FOUND = 1_000_000


class PageWatch:
    """Mutable state: the ids that were seen, shortened, and how many pages in a row brought none."""

    def __init__(self, place: str, name: str, id_of: Callable[[Mapping[str, Any]], object], most: int = 0) -> None:
        self._place = place
        self._name = name
        self._id_of = id_of
        self._most = most or MOST_FOUND
        self._seen = set[int]()
        self._idle = 0

    def look(self, page: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        """Those that were not there before. What has no id is told, and is nothing new. Raises ImportFailed."""
        found, before = [], len(self._seen)
        for each in page:
            at = self._id_of(each)
            if not isinstance(at, str | int):
                found.append(each)
            elif (short := hash(at)) not in self._seen:
                self._seen.add(short)
                found.append(each)
        self._idle = self._idle + 1 if len(self._seen) == before else 0
        if self._idle >= IDLE_PAGES:
            raise endless(self._place, self._name)
        if len(self._seen) > self._most:
            raise ImportFailed(
                f"{self._place} has more than {self._most} {self._name}: that many are not asked for.",
                hint="Import the database that the server keeps them in.",
            )
        return found


def endless(place: str, name: str) -> ImportFailed:
    return ImportFailed(
        f"{place} has no end of {name}: page after page comes, and brings nothing new.",
        hint="See whether the address is that of an MLflow server, or import the database that it keeps them in.",
    )
