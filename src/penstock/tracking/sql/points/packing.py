"""Which series are packed, and when: those of runs that ended, and long ones of runs that go on; a few at a time.

What is worth it are rows, and chunks that are small and many.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple, TypeVar

from sqlalchemy import Connection

from penstock.errors import PenstockError, RegistryUnavailable
from penstock.sql.database import Database
from penstock.sql.dialect import any_of, run, run_each
from penstock.tracking.sql.keys import Keys
from penstock.tracking.sql.points.chunks import (
    MERGE_ENDED,
    MERGE_RUNNING,
    PACK_AT_ONCE,
    PACK_ENDED,
    PACK_RUNNING,
    SMALL_CHUNK,
    pack,
)

log = logging.getLogger("penstock.tracking")

T = TypeVar("T")

# Points packed in one transaction, about: what a write that comes meanwhile waits for.
_STEP_POINTS = 20_000

# Runs whose points are counted until there are enough of them to pack. Many runs never end.
_MAX_COUNTED = 10_000


class _Worth(NamedTuple):
    """A series that is worth packing, its number of rows and that of its small chunks."""

    run: int
    key: str
    series: int
    rows: int
    chunks: int

    @property
    def points(self) -> int:
        """How many points are moved, about."""
        return self.rows + self.chunks * PACK_AT_ONCE


class Packing:
    """Used by the commit thread alone."""

    def __init__(self, database: Database) -> None:
        self._database = database
        # Mutable state: points of each run since its series were looked at; runs to look at, and those of them that
        # have ended; series to pack. The first look is at what an earlier process left.
        self._points: dict[str, int] = {}
        self._runs: deque[tuple[str, bool]] = deque()
        self._series: deque[_Worth] = deque()
        self._begun = False

    def logged(self, run_id: str, points: int) -> None:
        """So many points were logged by this run."""
        now = self._points.pop(run_id, 0) + points
        if now >= PACK_RUNNING:
            self._runs.append((run_id, False))
            return
        self._points[run_id] = now
        if len(self._points) > _MAX_COUNTED:  # the one that was logged to least recently; many never end
            del self._points[next(iter(self._points))]

    def ended(self, run_id: str) -> None:
        self._points.pop(run_id, None)
        self._runs.append((run_id, True))

    def step(self) -> bool:
        """Packs some series, or looks for some; says whether there is more to do. What fails for the database's sake is
        done again by the next call."""
        if not self._begun:
            self._series += self._database.read(_left_behind)
            self._begun = True
        if not self._series and self._runs:
            looked_at = [self._runs.popleft() for _ in range(min(len(self._runs), 100))]
            with _kept(self._runs, looked_at):
                self._series += self._database.read(lambda c: _worth_packing(c, looked_at))
        some: list[_Worth] = []
        while self._series and sum(each.points for each in some) < _STEP_POINTS:
            some.append(self._series.popleft())
        if some:
            with _kept(self._series, some):
                self._database.write(lambda c: _pack(c, some))
        return bool(self._series or self._runs)


@contextmanager
def _kept(queue: deque[T], taken: Sequence[T]) -> Iterator[None]:
    """Puts back what was taken from the queue, if the database is away."""
    try:
        yield
    except PenstockError:
        queue.extendleft(reversed(taken))
        raise


# Series that have rows, or may have so many chunks; small ones are counted where there may be any.
_LOOKED_AT = f"""
SELECT * FROM (
    SELECT s.run, s.key, s.id, s.hot, CASE WHEN s.points - s.hot < {MERGE_ENDED * PACK_AT_ONCE} THEN 0 ELSE (
        SELECT count(*) FROM penstock_chunks k WHERE k.series = s.id AND k.points < {SMALL_CHUNK}
    ) END AS small
    FROM penstock_runs r JOIN penstock_series s ON s.run = r.id WHERE
"""


def _worth_packing(c: Connection, runs: Sequence[tuple[str, bool]]) -> list[_Worth]:
    found: list[_Worth] = []
    for ended, rows, chunks in ((True, PACK_ENDED, MERGE_ENDED), (False, PACK_RUNNING, MERGE_RUNNING)):
        condition, parameter = any_of(c, "r.run_id", [run_id for run_id, over in runs if over is ended])
        found += _found(c, condition, rows, chunks, parameter)
    return found


def _left_behind(c: Connection) -> list[_Worth]:
    """Series of the runs that changed last which ended without being packed."""
    newest = (
        "SELECT id FROM penstock_runs WHERE status NOT IN ('RUNNING', 'SCHEDULED') ORDER BY changed DESC LIMIT 1000"
    )
    return _found(c, f"r.id IN ({newest})", PACK_ENDED, MERGE_ENDED)


def _found(c: Connection, condition: str, rows: int, chunks: int, *parameters: Any) -> list[_Worth]:
    statement = f"{_LOOKED_AT}{condition}) worth WHERE hot >= ? OR small >= ?"
    return [_Worth(*row) for row in run(c, statement, *parameters, rows, chunks)]


def _pack(c: Connection, some: Sequence[_Worth]) -> None:
    Keys(c)  # whoever writes waits for its row: nothing is logged to a series while it is packed
    packed = [each for each in some if _is_packed(c, each)]
    run_each(c, "UPDATE penstock_series SET hot = 0 WHERE run = ? AND key = ?", [(e.run, e.key) for e in packed])


def _is_packed(c: Connection, each: _Worth) -> bool:
    """Packs a series, unless one of its chunks cannot be read: nothing of it is changed then, and others go on."""
    try:
        pack(c, each.series)
    except RegistryUnavailable as error:  # of a chunk: what the database says is translated later
        log.warning("The points of metric %r, series %d, stay as they are: %s", each.key, each.series, error)
        return False
    return True
