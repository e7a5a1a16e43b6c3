"""The recorded searches, and what we answer to them over the same population."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from mlflow_api.search.population import POPULATION
from penstock.mlflow_api.search.entities import LOGGED_MODELS, SearchEntity
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
