"""MODEL as commands take it, turned into a directory or a loaded model."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from penstock.loading import LoadedModel, LoadOptions
    from penstock.registry import Registry
    from penstock.registry.reference import ModelReference


def fetch(model: str, registry: str) -> Path:
    """The package's directory: its own, or a copy on this machine. Raises what resolving and fetching raise."""
    from penstock.loading import fetch_reference

    with _resolvable(model, registry) as (reference, source):
        return fetch_reference(reference, source)[1]


def load(model: str, registry: str, options: LoadOptions) -> tuple[str, str, LoadedModel]:
    """Name, version and the loaded model. Raises what resolving, fetching and loading raise."""
    from penstock.loading import load_reference

    with _resolvable(model, registry) as (reference, source):
        version, loaded = load_reference(reference, source, options)
        return reference.name or reference.served_as, version, loaded


@contextmanager
def _resolvable(model: str, registry: str) -> Iterator[tuple[ModelReference, Registry | None]]:
    """What a user wrote, and the registry to look it up in; None where none is needed."""
    from penstock.registry import open_registry
    from penstock.registry.reference import parse_reference

    reference = parse_reference(model)
    if reference.path is not None:
        yield reference, None
        return
    source = open_registry(registry, artifacts=os.environ.get("PENSTOCK_ARTIFACTS"), read_only=True)
    try:
        yield reference, source
    finally:
        source.close()
