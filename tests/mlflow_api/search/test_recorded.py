"""MLflow's own answers to some thousand searches: we read and find the same, or a difference has a name.

Recorded by `record.py`, beside this file.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest

from mlflow_api.search.differences import DIFFERENCES, Difference
from mlflow_api.search.our_answers import Search, found_by_filter, found_by_order, recorded
from penstock.errors import SearchInvalid
from penstock.mlflow_api.search.entities import ENTITIES


def difference(search: Search) -> Difference | str | None:
    """None where we do as MLflow does, a text where no difference says why we do not."""
    entity = ENTITIES[search.entity]
    error = ""
    ours: Any = None
    try:
        is_filter = isinstance(search.asked, str)
        ours = found_by_filter(entity, search.asked) if is_filter else found_by_order(entity, search.asked)
    except SearchInvalid as refusal:
        error = str(refusal)
    if ours == search.answer:
        return None
    what = "refuses" if ours is None else "accepts" if search.answer is None else "understands"
    named = (d for d in DIFFERENCES if d.covers(search.entity, search.text, what, error))
    return next(named, f"{search.entity}: {search.asked!r}: ours {ours} {error} MLflow {search.answer}")


@cache
def differences() -> list[Difference | str]:
    return [found for search in recorded() if (found := difference(search)) is not None]


def test_we_read_and_find_what_mlflow_does() -> None:
    assert [found for found in differences() if isinstance(found, str)] == []


def test_differences_are_few() -> None:
    assert len(recorded()) > 3000
    assert len(differences()) < 0.06 * len(recorded())


@pytest.mark.parametrize("named", DIFFERENCES, ids=lambda named: named.name)
def test_each_difference_is_there(named: Difference) -> None:
    assert named in differences()
