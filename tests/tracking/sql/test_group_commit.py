"""The thread that commits: what becomes of the others where one write, or one caller, is at fault."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from typing import Any

import pytest

from penstock.errors import PenstockError, RegistryError, RegistryUnavailable
from penstock.tracking.interface import Done
from penstock.tracking.sql.group_commit import GroupCommit
from penstock.tracking.writes import CreateRun, DeleteRun, LogBatch, Write
from tracking.conftest import sql_store


class Applied:
    """Makes changes of runs; what is to be raised is by the run's id. The first group waits until it is let go."""

    def __init__(self, raised: dict[str, Exception]) -> None:
        self.groups: list[list[str]] = []
        self.go = threading.Event()
        self._raised = raised

    def __call__(self, changes: Sequence[Write[Any]]) -> list[Any]:
        self.go.wait(5)
        names = [change.run_id for change in changes if isinstance(change, DeleteRun)]
        self.groups.append(names)
        for name in names:
            if name in self._raised:
                raise self._raised[name]
        return names


@contextmanager
def submitted(applied: Applied, names: Sequence[str]) -> Iterator[dict[object, Done]]:
    """How writes for these runs ended, all but the first in one group."""
    ended: dict[object, Done] = {}

    def on_done(done: Sequence[Done]) -> None:
        ended.update({each.ticket: each for each in done})

    with closing(GroupCommit(applied, lambda: False)) as commits:
        for name in ("first", *names):
            commits.submit(DeleteRun(name), name, on_done)
        applied.go.set()
    yield ended


@pytest.mark.parametrize("fault", [UnicodeEncodeError("utf-8", "x", 0, 1, "no"), RegistryError("cannot hold a value")])
def test_a_write_that_breaks_its_group_fails_alone(fault: Exception) -> None:
    with submitted(Applied({"bad": fault}), ["a", "bad", "b"]) as ended:
        assert isinstance(ended["bad"].error, PenstockError)
        assert [ended[name].result for name in ("a", "b")] == ["a", "b"]


def test_a_database_that_is_away_is_asked_once_for_a_group() -> None:
    applied = Applied({"bad": RegistryUnavailable("away")})
    with submitted(applied, ["a", "bad", "b"]) as ended:
        assert all(isinstance(ended[name].error, RegistryUnavailable) for name in ("a", "bad", "b"))
    assert sum("bad" in group for group in applied.groups) == 1


def test_what_a_database_does_not_take_is_told_apart_from_what_is_wrong_with_a_write() -> None:
    told: list[tuple[int, int]] = []
    faults: dict[str, Exception] = {"away": RegistryUnavailable("away"), "bad": RegistryError("cannot hold a value")}
    applied = Applied(faults)
    applied.go.set()
    observed = GroupCommit(applied, lambda: False, lambda writes, seconds, not_taken: told.append((writes, not_taken)))
    with closing(observed) as commits:
        for name in ("good", "away", "bad"):
            with suppress(PenstockError):
                commits.write(DeleteRun(name))
    assert told == [(1, 0), (1, 1), (1, 0)]


def test_a_caller_that_cannot_be_told_stops_nobody() -> None:
    def broken(done: Sequence[Done]) -> None:
        raise ValueError("nobody is there")

    applied = Applied({})
    applied.go.set()
    with closing(GroupCommit(applied, lambda: False)) as commits:
        commits.submit(DeleteRun("a"), None, broken)
        commits.submit(DeleteRun("b"), None, broken)
    assert sorted(name for group in applied.groups for name in group) == ["a", "b"]


def test_a_value_that_postgresql_does_not_take_is_its_writers_alone(postgres_url: str) -> None:
    ended: dict[object, Done] = {}
    with closing(sql_store(postgres_url)) as store:
        run_id = store.write(CreateRun("0")).run_id
        for place, value in enumerate(["kept", "no\0where", "kept, too"]):
            change = LogBatch(run_id, params=[(f"p{place}", value)])
            store.submit(change, place, lambda done: ended.update({each.ticket: each for each in done}))
        store.write(LogBatch(run_id))
        assert list(store.run(run_id).params.values()) == ["kept", "kept, too"]
    error = ended[1].error
    assert isinstance(error, RegistryError)
    assert not isinstance(error, RegistryUnavailable)
