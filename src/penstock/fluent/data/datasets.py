"""Describing data as MLflow does, so that it can be logged as a run's input."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from penstock.errors import TrackingInvalid
from penstock.fluent.data.digests import digest_of_arrays, digest_of_frame
from penstock.fluent.data.schemas import schema_of_arrays, schema_of_frame
from penstock.fluent.data.sources import source_of
from penstock.fluent.run_dataset import RunDataset


def from_pandas(
    df: Any,
    source: Any = None,
    targets: str | None = None,
    name: str | None = None,
    digest: str | None = None,
    predictions: str | None = None,
) -> RunDataset:
    """A DataFrame. `source` is where it came from, a path or a URL; the program where nothing is said. Raises
    TrackingInvalid where it has no column called as `targets` or `predictions` says."""
    for role, column in (("targets", targets), ("predictions", predictions)):
        if column is not None and column not in df.columns:
            raise TrackingInvalid(f"The DataFrame has no column {column!r} for {role}.", field=role)
    kind, where = source_of(source)
    profile = json.dumps({"num_rows": len(df), "num_elements": int(df.size)})
    digest = digest or digest_of_frame(df)
    return RunDataset(name or "dataset", digest, kind, where, schema_of_frame(df), profile, df, targets)


def from_numpy(
    features: Any, source: Any = None, targets: Any = None, name: str | None = None, digest: str | None = None
) -> RunDataset:
    """An array, or a dict of arrays by name; `targets` likewise."""
    kind, where = source_of(source)
    shown = {"features": features, **({} if targets is None else {"targets": targets})}
    profile = {
        f"{role}_{attribute}": _of_each(arrays, lambda array, attribute=attribute: getattr(array, attribute))  # type: ignore[misc]
        for role, arrays in shown.items()
        for attribute in ("shape", "size", "nbytes")
    }
    digest = digest or digest_of_arrays(features, targets)
    schema = schema_of_arrays(features, targets)
    return RunDataset(name or "dataset", digest, kind, where, schema, json.dumps(profile), features, targets)


def _of_each(arrays: Any, work: Callable[[Any], Any]) -> Any:
    if isinstance(arrays, Mapping):
        return {name: work(array) for name, array in arrays.items()}
    return work(arrays)
