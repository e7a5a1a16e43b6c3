"""What each search of MLflow knows: one table for each kind of thing that can be searched.

Source: MLflow 3.18's own rules, as its stores apply them. A table says what may be compared with what and how, what may
be sorted by, what comes first where nobody says, and how long a page is. Parsing, matching and translating into SQL are
all led by these tables; none of them knows an entity by name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from penstock.mlflow_api.search.tree import Comparison, Kind, Operator, OrderBy

# number: any; integer: whole ones; id: a text of digits, as experiments have, which sorts as a number.
FieldType: TypeAlias = Literal["text", "number", "integer", "id"]

SortType: TypeAlias = Literal["text", "number"]

_EQUAL: tuple[Operator, ...] = ("=", "!=")
_ORDERED: tuple[Operator, ...] = (*_EQUAL, "<", "<=", ">", ">=")
_TEXT: tuple[Operator, ...] = (*_EQUAL, "LIKE", "ILIKE")
_LISTS: tuple[Operator, ...] = ("IN", "NOT IN")
_PRESENCE: tuple[Operator, ...] = ("IS NULL", "IS NOT NULL")


@dataclass(frozen=True, slots=True)
class SearchField:
    """What may be done with one attribute, or with all keys of one kind. `words` are the only values there are, by how
    they may be written; `quoted` numbers may also stand in quotes."""

    type: FieldType
    operators: tuple[Operator, ...]
    orderable: bool = True
    quoted: bool = False
    words: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class HiddenTag:
    """What has the tag with this value is found only by a filter that asks for it."""

    key: str
    value: str
    other: str

    def asked_for(self, comparisons: Sequence[Comparison]) -> bool:
        """By MLflow's rule the first comparison with the tag decides."""
        for found in comparisons:
            if self.named_by(found):
                wanted = found.value.lower() if isinstance(found.value, str) else ""
                return (found.operator, wanted) in (("=", self.value), ("!=", self.other))
        return False

    def named_by(self, comparison: Comparison) -> bool:
        return comparison.kind == "tag" and comparison.key == self.key


@dataclass(frozen=True, slots=True)
class SearchEntity:
    """`prefixes` are those of keys, as `metrics` in `metrics.loss`; an attribute needs none. `attributes` and
    `datasets` are by canonical name, `spellings` lead to that; `keys` are the kinds whose keys are the user's. A text
    may stand without quotes where `bare_values` says so."""

    name: str
    prefixes: Mapping[str, Kind]
    attributes: Mapping[str, SearchField]
    keys: Mapping[Kind, SearchField]
    default_order: tuple[OrderBy, ...]
    tie_break: tuple[OrderBy, ...]
    default_page: int
    max_page: int
    spellings: Mapping[str, str] = field(default_factory=dict)
    datasets: Mapping[str, SearchField] = field(default_factory=dict)
    hidden: HiddenTag | None = None
    bare_values: bool = False

    def field_of(self, kind: Kind, key: str) -> SearchField | None:
        """None where there is no such attribute. `key` is canonical."""
        if kind == "attribute":
            return self.attributes.get(key)
        if kind == "dataset":
            return self.datasets.get(key)
        return self.keys.get(kind)

    def canonical(self, key: str) -> str:
        """An attribute's one name."""
        return self.spellings.get(key, key)

    def full_order(self, order: Sequence[OrderBy]) -> tuple[OrderBy, ...]:
        """The order, or the default one, with the tie-breaks that it leaves open: no two things are equal in it."""
        wanted = tuple(order) or self.default_order
        sorted_by = {(by.kind, by.key) for by in wanted}
        return (*wanted, *(by for by in self.tie_break if (by.kind, by.key) not in sorted_by))

    def sort_types(self, order: Sequence[OrderBy]) -> tuple[SortType, ...]:
        """What the values are that the order sorts by, where they are there."""
        fields = (self.field_of(by.kind, by.key) for by in order)
        return tuple("text" if field is not None and field.type == "text" else "number" for field in fields)

    def visible(self, comparisons: Sequence[Comparison]) -> tuple[Comparison, ...]:
        """The comparisons to evaluate: where something is hidden and not asked for, one of them says so, in the place
        of all comparisons with that tag."""
        if self.hidden is None or self.hidden.asked_for(comparisons):
            return tuple(comparisons)
        rest = (found for found in comparisons if not self.hidden.named_by(found))
        return (*rest, Comparison("tag", self.hidden.key, "!=", self.hidden.value, 1, or_missing=True))


def _by(key: str, *, descending: bool = False) -> OrderBy:
    return OrderBy("attribute", key, descending)


def _prefixes(**kinds: str) -> dict[str, Kind]:
    """`attribute="attribute attr"`: the first of each is how it is printed."""
    names: list[Kind] = ["attribute", "metric", "param", "tag", "dataset"]
    return {prefix: kind for kind in names for prefix in kinds.get(kind, "").split()}


_PLAIN_TEXT = SearchField("text", _TEXT)
_TEXT_OR_LIST = SearchField("text", (*_TEXT, *_LISTS))
_ID = SearchField("id", (*_EQUAL, *_LISTS))
_TIME = SearchField("number", _ORDERED)
_SORTED_TIME = SearchField("integer", ())
_METRIC = SearchField("number", _ORDERED)
_NULLABLE = SearchField("text", (*_TEXT, *_PRESENCE))

# Prompts are registered models with this tag; those who search for models do not mean them.
_PROMPTS = HiddenTag("mlflow.prompt.is_prompt", "true", "false")

RUNS = SearchEntity(
    name="runs",
    prefixes=_prefixes(
        attribute="attributes attribute attr run",
        metric="metrics metric",
        param="params param parameters parameter",
        tag="tags tag",
        dataset="datasets dataset",
    ),
    attributes={
        "artifact_uri": _PLAIN_TEXT,
        "end_time": _TIME,
        "run_id": _TEXT_OR_LIST,
        "run_name": _PLAIN_TEXT,
        "start_time": _TIME,
        "status": _PLAIN_TEXT,
        "user_id": _PLAIN_TEXT,
    },
    spellings={
        "created": "start_time",
        "Created": "start_time",
        "run name": "run_name",
        "Run name": "run_name",
        "Run Name": "run_name",
    },
    keys={"metric": _METRIC, "param": _NULLABLE, "tag": _NULLABLE},
    datasets={key: SearchField("text", (*_TEXT, *_LISTS), orderable=False) for key in ("context", "digest", "name")},
    default_order=(_by("start_time", descending=True), _by("run_id")),
    tie_break=(_by("start_time", descending=True), _by("run_id")),
    default_page=1000,
    max_page=50_000,
)

EXPERIMENTS = SearchEntity(
    name="experiments",
    prefixes=_prefixes(attribute="attributes attribute", tag="tags tag"),
    attributes={
        "creation_time": SearchField("integer", _ORDERED),
        "experiment_id": _ID,
        "last_update_time": SearchField("integer", _ORDERED),
        "name": _PLAIN_TEXT,
    },
    keys={"tag": SearchField("text", (*_TEXT, *_PRESENCE), orderable=False)},
    default_order=(_by("creation_time", descending=True), _by("experiment_id")),
    tie_break=(_by("experiment_id", descending=True),),
    default_page=1000,
    max_page=50_000,
)

_REGISTRY_TAG = SearchField("text", _TEXT, orderable=False)

REGISTERED_MODELS = SearchEntity(
    name="registered models",
    prefixes=_prefixes(attribute="attribute", tag="tags tag"),
    attributes={
        "creation_timestamp": _SORTED_TIME,
        "last_updated_timestamp": _SORTED_TIME,
        "name": _TEXT_OR_LIST,
    },
    spellings={"timestamp": "last_updated_timestamp"},
    keys={"tag": _REGISTRY_TAG},
    default_order=(_by("name"),),
    tie_break=(_by("name"),),
    default_page=100,
    max_page=1000,
    hidden=_PROMPTS,
)

MODEL_VERSIONS = SearchEntity(
    name="model versions",
    prefixes=_prefixes(attribute="attribute", tag="tags tag"),
    attributes={
        "creation_timestamp": _SORTED_TIME,
        "last_updated_timestamp": _SORTED_TIME,
        "name": _TEXT_OR_LIST,
        "run_id": SearchField("text", (*_TEXT, *_LISTS), orderable=False),
        "source_path": SearchField("text", _TEXT, orderable=False),
        "version_number": SearchField("integer", _ORDERED, quoted=True),
    },
    keys={"tag": _REGISTRY_TAG},
    default_order=(
        _by("last_updated_timestamp", descending=True),
        _by("name"),
        _by("version_number", descending=True),
    ),
    tie_break=(_by("name"), _by("version_number", descending=True)),
    default_page=10_000,
    max_page=200_000,
    hidden=_PROMPTS,
)

_STATUSES = ("LOGGED_MODEL_PENDING", "LOGGED_MODEL_READY", "LOGGED_MODEL_UPLOAD_FAILED")

LOGGED_MODELS = SearchEntity(
    name="logged models",
    prefixes=_prefixes(attribute="attributes", metric="metrics", param="params", tag="tags"),
    attributes={
        "artifact_location": _TEXT_OR_LIST,
        "creation_timestamp_ms": _TIME,
        "experiment_id": _ID,
        "last_updated_timestamp_ms": _TIME,
        "model_id": _TEXT_OR_LIST,
        "model_type": _TEXT_OR_LIST,
        "name": _TEXT_OR_LIST,
        "source_run_id": _TEXT_OR_LIST,
        "status": SearchField(
            "text",
            (*_EQUAL, *_LISTS),
            words={**dict(zip(("PENDING", "READY", "FAILED"), _STATUSES, strict=True)), **{w: w for w in _STATUSES}},
        ),
        "status_message": _TEXT_OR_LIST,
    },
    spellings={
        "creation_time": "creation_timestamp_ms",
        "creation_timestamp": "creation_timestamp_ms",
        "last_updated_timestamp": "last_updated_timestamp_ms",
        "artifact_uri": "artifact_location",
    },
    keys={
        "metric": _METRIC,
        "param": SearchField("text", (*_TEXT, *_LISTS), orderable=False),
        "tag": SearchField("text", (*_TEXT, *_LISTS), orderable=False),
    },
    default_order=(_by("creation_timestamp_ms", descending=True), _by("model_id")),
    tie_break=(_by("creation_timestamp_ms", descending=True), _by("model_id")),
    default_page=100,
    max_page=50_000,
    bare_values=True,
)

ENTITIES: Mapping[str, SearchEntity] = {
    entity.name: entity for entity in (RUNS, EXPERIMENTS, REGISTERED_MODELS, MODEL_VERSIONS, LOGGED_MODELS)
}
