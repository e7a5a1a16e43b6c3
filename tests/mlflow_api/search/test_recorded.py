"""MLflow's own answers to some thousand searches: we read and find the same, or a difference has a name.

Recorded by `record.py`, beside this file.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from mlflow_api.search.differences import DIFFERENCES, Difference
from mlflow_api.search.population import POPULATION
from penstock.errors import SearchInvalid
from penstock.mlflow_api.search.entities import ENTITIES, LOGGED_MODELS, SearchEntity
from penstock.mlflow_api.search.matching import SearchedDataset, matches, sorted_by
from penstock.mlflow_api.search.parse import parse_filter, parse_order_by, parse_order_fields
from penstock.mlflow_api.search.tree import Comparison

RECORDED = Path(__file__).parent / "recorded.jsonl"
NAMES = list(POPULATION)


class Subject:
    """One of the population."""

    def __init__(self, entity: str, place: int) -> None:
        self.place = place
        self._values = POPULATION[entity][place]

    def attribute(self, name: str) -> str | int | float | None:
        value: str | int | float | None = self._values[name]
        return LOGGED_MODELS.attributes[name].words[str(value)] if name == "status" and self._is_logged else value

    @property
    def _is_logged(self) -> bool:
        return "model_id" in self._values

    def metric(self, key: str, dataset_name: str = "", dataset_digest: str = "") -> float | None:
        if not self._is_logged:
            found: float | None = self._values["metrics"].get(key)
            return found
        for metric, value, name, digest in self._values["metrics"]:
            if metric == key and dataset_name in ("", name) and dataset_digest in ("", digest):
                return float(value)
        return None

    def param(self, key: str) -> str | None:
        found: str | None = self._values["params"].get(key)
        return found

    def tag(self, key: str) -> str | None:
        found: str | None = self._values["tags"].get(key)
        return self._values["run_name"] if key == "mlflow.runName" else found

    def datasets(self) -> list[SearchedDataset]:
        return [SearchedDataset(*dataset) for dataset in self._values["datasets"]]


SUBJECTS = {name: [Subject(name, place) for place in range(len(POPULATION[name]))] for name in NAMES}


class Search(NamedTuple):
    entity: str
    asked: Any
    answer: Any

    @property
    def text(self) -> str:
        return self.asked if isinstance(self.asked, str) else "\n".join(map(str, self.asked))


@cache
def recorded() -> list[Search]:
    lines = RECORDED.read_text(encoding="utf-8").splitlines()[1:]
    return [Search(NAMES[entity], asked, answer) for entity, asked, answer in map(json.loads, lines)]


def found_by_filter(entity: SearchEntity, text: str) -> list[Any]:
    comparisons = parse_filter(entity, text)
    visible = entity.visible(comparisons)
    bits = sum(1 << subject.place for subject in SUBJECTS[entity.name] if matches(visible, subject))
    return [[written(comparison) for comparison in comparisons], f"{bits:x}"]


def written(comparison: Comparison) -> list[Any]:
    """As it is recorded; MLflow has shorter words for the statuses of logged models."""
    value: Any = comparison.value
    if isinstance(value, tuple):
        value = [recorded_word(comparison, text) for text in value]
    elif isinstance(value, str):
        value = recorded_word(comparison, value)
    return [comparison.kind[0], comparison.key, comparison.operator, value]


def recorded_word(comparison: Comparison, value: str) -> str:
    words = LOGGED_MODELS.attributes["status"].words
    is_status = comparison.key == "status" and value.startswith("LOGGED_MODEL_")
    return next(short for short, word in words.items() if word == value) if is_status else value


def found_by_order(entity: SearchEntity, order: Sequence[Any]) -> list[int]:
    read = parse_order_fields if entity is LOGGED_MODELS else parse_order_by
    hidden = entity.visible(())
    shown = [subject for subject in SUBJECTS[entity.name] if matches(hidden, subject)]
    return [subject.place for subject in sorted_by(entity.full_order(read(entity, order)), shown)]


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
