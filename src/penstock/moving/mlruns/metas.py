"""`meta.yaml`: a mapping of single values, which MLflow's file store writes for each object.

Anyone may have written the file. The C loader of YAML crashes where brackets are nested by the ten thousand, and an
alias of an alias is a text that never ends: what has either is refused by its events alone, before a value is made.
"""

from __future__ import annotations

from typing import Any

from penstock.moving.mlruns.places import IS_LINK, Place, UnreadableError

META = "meta.yaml"

_MAX_META = 64 * 1024
# A dataset's file has its profile and schema in it.
MAX_DATASET_META = 64 * 1024 * 1024
_DEEPEST = 8
_MOST_EVENTS = 10_000
_LARGEST = 10**100

# What objects are made of. Other fields may hold anything: MLflow writes empty lists there, and nobody reads them.
_SINGLE = frozenset(
    {
        "artifact_location",
        "artifact_uri",
        "creation_time",
        "creation_timestamp",
        "current_stage",
        "deleted_time",
        "description",
        "digest",
        "end_time",
        "experiment_id",
        "last_update_time",
        "last_updated_timestamp",
        "lifecycle_stage",
        "model_id",
        "model_type",
        "name",
        "profile",
        "run_id",
        "run_link",
        "run_name",
        "run_uuid",
        "schema",
        "source",
        "source_id",
        "source_run_id",
        "source_type",
        "start_time",
        "status",
        "status_message",
        "step",
        "storage_location",
        "user_id",
    }
)


def read_meta(place: Place, limit: int = _MAX_META) -> dict[str, Any]:
    """What `meta.yaml` of a directory says: fields with single values, and `tags`, where it has some. Raises
    UnreadableError."""
    if place.is_link():
        raise UnreadableError(f"it {IS_LINK}")
    try:
        with (place / META).opened() as file:
            content = file.read(limit + 1)
    except FileNotFoundError:
        raise UnreadableError(f"it has no {META}") from None
    except UnreadableError as error:
        raise UnreadableError(f"its {META} {error}") from None
    if len(content) > limit:
        raise UnreadableError(f"its {META} is too large")
    return _fields(_loaded(content))


def _loaded(content: bytes) -> Any:
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        _require_flat(content, loader)
        return yaml.load(content, loader)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        is_value = isinstance(error, ValueError) and not isinstance(error, yaml.YAMLError)
        why = (
            "a number or date in it is none"
            if is_value
            else str(getattr(error, "problem", None) or type(error).__name__)
        )
        raise UnreadableError(f"its {META} cannot be read: {why}") from None


def _require_flat(content: bytes, loader: Any) -> None:
    """Raises UnreadableError. Reads no further than up to what it refuses."""
    import yaml

    depth = 0
    for count, event in enumerate(yaml.parse(content, loader)):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > _DEEPEST or count > _MOST_EVENTS:
            raise UnreadableError(f"its {META} is no plain mapping: it is nested, or has too many parts")
        if isinstance(event, yaml.AliasEvent):
            raise UnreadableError(f"its {META} is no plain mapping: it has an alias")


def _fields(content: Any) -> dict[str, Any]:
    if not isinstance(content, dict):
        raise UnreadableError(f"its {META} is empty or no mapping")
    fields = {}
    for key, value in content.items():
        if key == "tags" and isinstance(value, dict):
            if not all(map(_is_single, (*value, *value.values()))):
                raise UnreadableError(f"in its {META} there are tags that are no single values")
            fields[key] = value
        elif _is_single(value):
            fields[key] = value
        elif key in _SINGLE:
            raise UnreadableError(f"in its {META} {key} is no single value")
    return fields


def _is_single(value: Any) -> bool:
    """A number of thousands of digits, which Python makes no text of, is none."""
    if isinstance(value, int):
        return abs(value) < _LARGEST
    return not isinstance(value, dict | list | set | tuple)
