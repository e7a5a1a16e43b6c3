"""Filters and orders for the recording: from a grammar that is wider than MLflow's, and by mutation."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

from mlflow_api.search import population as p
from mlflow_api.search.edges import EDGES

T = TypeVar("T")

_TIMES = ["1000", "1003", "1005.5", "2002", "-1", "2001", "3"]
_ATTRIBUTES: dict[str, dict[str, list[str]]] = {
    "runs": {
        "run_id": [p.run(i)["run_id"] for i in range(3)], "status": p.STATUSES, "user_id": ["bob", "%b", "Bob"],
        "artifact_uri": ["s3://Bucket/1", "s3://b%"], "run_name": p.TEXTS, "start_time": _TIMES, "end_time": _TIMES,
        "created": _TIMES, "Created": _TIMES, "Run name": p.TEXTS, "run name": p.TEXTS,
    },
    "experiments": {
        "name": ["x-0", "%-1", "A%"], "experiment_id": ["1", "12", "240", "x"], "creation_time": _TIMES,
        "last_update_time": _TIMES,
    },
    "registered models": {
        "name": ["x-0", "X-1", "Abc-3", "%-1", "a%", "1-3"],
    },
    "model versions": {
        "name": ["iris", "i%", "prompt"], "version_number": ["1", "2", "10", "2.5"], "run_id": ["abab", "", "c%"],
        "source_path": ["s3://Bucket/x", "s3://%/X", "s3://bucket/x"],
    },
    "logged models": {
        "model_id": [p.logged_model(i)["model_id"] for i in range(3)], "name": p.TEXTS, "status": p.LOGGED_STATUSES,
        "experiment_id": ["1", "12"], "creation_time": _TIMES, "creation_timestamp": _TIMES,
        "creation_timestamp_ms": _TIMES, "last_updated_timestamp": _TIMES, "model_type": p.TEXTS,
        "source_run_id": ["abab", "%a%"], "artifact_location": ["s3://Bucket/1"],
    },
}  # fmt: skip

# Attributes that some searches know and others do not; in an order they stand beside the others.
_FURTHER = [
    "experiment_id",
    "version",
    "timestamp",
    "creation_timestamp",
    "last_updated_timestamp",
    "description",
    "stage",
]

_PREFIXES = {
    "runs": {
        "attribute": ["attribute", "attributes", "attr", "run"],
        "metric": ["metrics", "metrics", "metric"],
        "param": ["params", "params", "param", "parameter", "parameters"],
        "tag": ["tags", "tag"],
        "dataset": ["dataset", "datasets"],
    },
    "experiments": {"attribute": ["attribute", "attributes"], "tag": ["tags", "tag"]},
    "registered models": {"attribute": ["attribute"], "tag": ["tags", "tag"]},
    "model versions": {"attribute": ["attribute"], "tag": ["tags", "tag"]},
    "logged models": {"attribute": ["attributes"], "metric": ["metrics"], "param": ["params"], "tag": ["tags"]},
}
_ALL_PREFIXES = sorted({prefix for kinds in _PREFIXES.values() for some in kinds.values() for prefix in some})
_KEYS = {
    "attribute": ["name"],
    "metric": p.METRICS,
    "param": p.PARAMS,
    "tag": p.TAGS,
    "dataset": ["name", "digest", "context", "context", "profile"],
}
_DATASET_VALUES = ["d1", "d%", "1a", "train", "Train", "eval"]
_ORDERED = ["=", "!=", "<", "<=", ">", ">="]
_TEXTUAL = ["=", "!=", "LIKE", "ILIKE", "like", "ilike", "Like"]
_LISTS = ["IN", "NOT IN", "in", "not in"]
_PRESENCE = ["IS NULL", "IS NOT NULL", "is null", "Is  Not Null"]
_ODD = ["==", "<>", "=>", "RLIKE", "NOT LIKE", "BETWEEN", "!<", "~"]
_PATTERNS = ["%", "a%", "A%", "%c", "_", "a_c", "%a%c%", "%%", "x", "%b/c", "%'s", "ab\\c", '%"%', "_%_", "1%", "%-1"]

# Where lists and presence may be asked for, as often as anything else; elsewhere seldom.
_LISTED = {"run_id", "experiment_id", "name", "digest", "context", "model_id", "model_type", "source_run_id"}


class Filters:
    """Texts for one entity; the same for the same seed."""

    def __init__(self, entity: str, seed: int) -> None:
        self._entity = entity
        self._random = random.Random(f"{entity} {seed}")

    def _one(self, choices: Sequence[T]) -> T:
        return self._random.choice(choices)

    def _seldom(self, often: float = 0.06) -> bool:
        return self._random.random() < often

    def valid_or_not(self) -> str:
        count = self._one([1, 1, 1, 1, 2, 2, 3])
        parts = [self._comparison() for _ in range(count)]
        text = parts[0]
        for part in parts[1:]:
            joint = (
                " AND "
                if not self._seldom()
                else self._one([" and ", " And\n", "  AND\t", " OR ", " ", " AND AND ", ", "])
            )
            text += joint + part
        if self._seldom(0.03):
            text = self._one([" {} ", "AND {}", "{} AND", "({})", "{};", "{} -- x", "\n{}", "NOT {}"]).format(text)
        return text

    def mutated(self) -> str:
        text = self.valid_or_not()
        for _ in range(self._one([1, 1, 2])):
            at = self._random.randrange(len(text) + 1)
            match self._one(["drop", "put", "swap", "cut", "words"]):
                case "drop":
                    text = text[:at] + text[at + 1 :]
                case "put":
                    text = text[:at] + self._one(list("'\"`.,()=<>! a1-_%;\\")) + text[at:]
                case "swap":
                    text = text[: at - 1] + text[at : at + 1] + text[at - 1 : at] + text[at + 1 :] if at else text
                case "cut":
                    text = text[:at]
                case _:
                    words = text.split(" ")
                    words.insert(self._random.randrange(len(words)), words.pop(self._random.randrange(len(words))))
                    text = " ".join(words)
        return text

    def order(self) -> list[str]:
        return [self._clause() for _ in range(self._one([1, 1, 1, 2, 3]))]

    def order_fields(self) -> list[dict[str, object]]:
        return [self._field() for _ in range(self._one([1, 1, 1, 2, 3]))]

    def _comparison(self) -> str:
        kind = self._one([*_PREFIXES[self._entity], "attribute"] if not self._seldom(0.03) else list(_KEYS))
        if kind == "attribute":
            name = self._one(list(_ATTRIBUTES[self._entity]) if not self._seldom(0.03) else _FURTHER)
            values = _ATTRIBUTES[self._entity].get(name, _TIMES)
        else:
            name = self._one(_KEYS[kind])
            numbers = [*_TIMES, "0.5", "1", "1e300", "0", "-1.5"]
            values = _DATASET_VALUES if kind == "dataset" else p.TEXTS if kind != "metric" else numbers
            if kind == "tag" and self._entity in ("registered models", "model versions") and self._seldom(0.4):
                name, values = p.IS_PROMPT, ["true", "true", "false", "True"]
        numeric = values is _TIMES or name == "version_number" or kind == "metric"
        operators = _ORDERED if numeric else [*_TEXTUAL, *_TEXTUAL]
        if name in _LISTED or (self._entity == "logged models" and not numeric):
            operators = [*operators, *_LISTS, *_LISTS]
        if kind in ("param", "tag") and self._entity in ("runs", "experiments"):
            operators = [*operators, *_PRESENCE]
        if self._seldom():
            operators = [*_ORDERED, *_TEXTUAL, *_LISTS, *_PRESENCE, *_ODD]
        operator = self._one(operators)
        return self._spaced(self._key(kind, name), operator, self._value(operator, values, numeric))

    def _spaced(self, key: str, operator: str, value: str) -> str:
        if operator[0] in "=!<>~" and self._seldom(0.2):
            return f"{key}{operator}{value}"
        return f"{key} {operator} {value}" if value else f"{key} {operator}"

    def _key(self, kind: str, name: str) -> str:
        plain = name.replace("_", "").replace(".", "").isalnum()
        if kind == "attribute":
            key = name if plain else self._one([f"`{name}`", f'"{name}"'])
            if self._seldom(0.75):
                return key
        else:
            quotes = ["`{}`"] * 3 + ['"{}"'] + (["{}"] * 9 + ["'{}'"] if plain else [])
            key = self._one(quotes).format(name)
        usual = _PREFIXES[self._entity].get(kind, _ALL_PREFIXES)
        prefix = self._one(usual if not self._seldom(0.04) else [*_ALL_PREFIXES, "m", "Metrics", "`tags`", "TAG"])
        return f"{prefix}.{key}"

    def _value(self, operator: str, values: list[str], numeric: bool) -> str:
        upper = " ".join(operator.upper().split())
        if upper.startswith("IS "):
            return ""
        if upper.endswith("IN"):
            texts = [self._text(self._one(values)) for _ in range(self._one([1, 2, 3]))]
            if self._seldom():
                return self._one(["()", "('a',)", "'a'", "(1)", "('a' 'b')", "('a'", "(a)"])
            return f"({self._one([', ', ',']).join(texts)})"
        if self._seldom(0.04):
            numeric = not numeric
        if numeric:
            return self._one([value for value in values if value[:1].isdigit()] or ["1"])
        return self._text(self._one(_PATTERNS if "LIKE" in upper and not self._seldom(0.2) else values))

    def _text(self, value: str) -> str:
        if self._seldom(0.02):
            return value
        quote = '"' if "'" in value or self._seldom(0.15) else "'"
        return f"{quote}{value}{quote}"

    def _clause(self) -> str:
        kinds = ["attribute", "metric", "metric", "tag", "param"]
        kind = self._one(kinds) if self._entity == "runs" or self._seldom() else "attribute"
        names = [*_ATTRIBUTES[self._entity], *([] if self._entity in ("runs", "experiments") else _FURTHER)]
        name = self._one(names if kind == "attribute" else _KEYS[kind])
        direction = self._one(["", "", " ASC", " DESC", " desc", " asc", "  Desc"])
        if self._seldom():
            direction = self._one([" up", " DESC ", " DESC ASC", ",", " DESC NULLS LAST", ";"])
        key = name if kind == "attribute" and not self._seldom(0.1) else self._key(kind, name)
        return f"{key}{direction}"

    def _field(self) -> dict[str, object]:
        name = self._one(list(_ATTRIBUTES[self._entity]))
        if self._random.random() < 0.6:
            name = f"{self._one(['metrics'] * 9 + ['metric', 'params', 'attributes'])}.{self._one(p.METRICS)}"
        field: dict[str, object] = {"field_name": name}
        if self._random.random() < 0.7:
            field["ascending"] = self._random.random() < 0.5
        if name.startswith("metrics") and self._random.random() < 0.3:
            field["dataset_name"] = self._one(["d1", "d2", "D1"])
            if self._random.random() < 0.4:
                field["dataset_digest"] = self._one(["1a", "2b"])
        return field


def filters(entity: str, count: int) -> Iterator[str]:
    """The edges, then from the grammar, each fourth mutated; none twice."""
    made = Filters(entity, 1)
    seen = set(EDGES[entity])
    yield from EDGES[entity]
    while len(seen) < count:
        text = made.mutated() if len(seen) % 4 == 0 else made.valid_or_not()
        if text not in seen:
            seen.add(text)
            yield text


def orders(entity: str, count: int) -> Iterator[list[Any]]:
    made = Filters(entity, 2)
    seen: set[str] = set()
    while len(seen) < count:
        order = made.order_fields() if entity == "logged models" else made.order()
        if str(order) not in seen:
            seen.add(str(order))
            yield order
