"""What the commit thread does: the writes of a group in one transaction, and packing while nothing waits.

The order within a group: runs made first, then what is logged, then runs changed, each kind in one go; then the rest,
one after another, each behind a savepoint. No caller has been answered yet, so to each of them that is as good an order
as that of arrival.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from sqlalchemy import Connection

from penstock.errors import PenstockError
from penstock.sql.database import Database
from penstock.tracking.runs import ENDED
from penstock.tracking.sql.batches import log_batches
from penstock.tracking.sql.keys import Keys
from penstock.tracking.sql.points.packing import Packing
from penstock.tracking.sql.run_writes import create_runs, update_runs
from penstock.tracking.sql.single_writes import SINGLE_WRITES, Transaction
from penstock.tracking.writes import CreateRun, LogBatch, UpdateRun, Write

W = TypeVar("W", bound=Write[Any])


class GroupWriter:
    """Applies groups of writes to a database."""

    def __init__(self, database: Database, artifact_root: str) -> None:
        self._database = database
        self._artifact_root = artifact_root
        self._packing = Packing(database)

    def apply(self, group: Sequence[Write[Any]]) -> list[Any | PenstockError]:
        """How each write ended. Raises what the database raises, with nothing written."""
        outcomes = self._database.write(lambda c: _apply(c, self._artifact_root, group))
        for change, outcome in zip(group, outcomes, strict=True):
            if isinstance(outcome, PenstockError):
                continue
            if isinstance(change, LogBatch) and change.metrics:
                self._packing.logged(change.run_id, len(change.metrics))
            elif isinstance(change, UpdateRun) and change.status in ENDED:
                self._packing.ended(change.run_id)
        return outcomes

    def tidy(self) -> bool:
        """Packs a little; says whether there is more to pack."""
        return self._packing.step()


def _apply(c: Connection, artifact_root: str, group: Sequence[Write[Any]]) -> list[Any | PenstockError]:
    keys = Keys(c)
    transaction = Transaction(c, keys, artifact_root)
    outcomes: dict[int, Any | PenstockError] = {}
    _together(group, CreateRun, outcomes, lambda changes: create_runs(c, keys, changes))
    _together(group, LogBatch, outcomes, lambda changes: log_batches(c, keys, changes))
    _together(group, UpdateRun, outcomes, lambda changes: update_runs(c, keys, changes))
    for place, change in enumerate(group):
        if place not in outcomes:
            outcomes[place] = _alone(transaction, change)
    keys.keep(c)
    return [outcomes[place] for place in range(len(group))]


def _together(
    group: Sequence[Write[Any]],
    kind: type[W],
    outcomes: dict[int, Any | PenstockError],
    apply: Callable[[Sequence[W]], Sequence[Any | PenstockError]],
) -> None:
    places = [place for place, change in enumerate(group) if type(change) is kind]
    if places:
        changes: list[Any] = [group[place] for place in places]
        outcomes.update(zip(places, apply(changes), strict=True))


def _alone(transaction: Transaction, change: Write[Any]) -> Any | PenstockError:
    """One that fails leaves nothing behind, and the others of its group alone."""
    savepoint = transaction.c.begin_nested()
    try:
        result = SINGLE_WRITES[type(change)](transaction, change)
    except PenstockError as error:
        savepoint.rollback()
        return error
    savepoint.commit()
    return result
