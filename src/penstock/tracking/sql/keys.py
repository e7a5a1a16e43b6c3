"""The row of changes: the number of this commit, and free keys for the rows that it inserts."""

from __future__ import annotations

from sqlalchemy import Connection

from penstock.sql.dialect import run


class Keys:
    """Taken first in a transaction that writes: on PostgreSQL the row is locked by it, so that commits are numbered in
    the order in which others see them. `number` is what the counter will be after this commit."""

    def __init__(self, c: Connection) -> None:
        lock = "" if c.dialect.name == "sqlite" else " FOR UPDATE"
        row = run(c, f"SELECT counter, next_run, next_series FROM penstock_changes WHERE id = 1{lock}")[0]
        self.number: int = row[0] + 1
        self._first = (row[1], row[2])
        # Mutable state: the next free keys.
        self._next_run: int = row[1]
        self._next_series: int = row[2]

    def run(self) -> int:
        self._next_run += 1
        return self._next_run - 1

    def series(self) -> int:
        self._next_series += 1
        return self._next_series - 1

    def keep(self, c: Connection) -> None:
        """Writes down which keys are taken, where any are."""
        if (self._next_run, self._next_series) != self._first:
            statement = "UPDATE penstock_changes SET next_run = ?, next_series = ? WHERE id = 1"
            run(c, statement, self._next_run, self._next_series)


def read_counter(c: Connection) -> int:
    """What the change counter is now."""
    counter: int = run(c, "SELECT counter FROM penstock_changes WHERE id = 1").scalar()
    return counter
