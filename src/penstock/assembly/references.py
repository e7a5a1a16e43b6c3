"""Which models the settings name, and the registry they are looked up in."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from fnmatch import fnmatchcase

from penstock.config import Settings
from penstock.errors import ConfigError
from penstock.registry import Registry, open_registry
from penstock.registry.references import ModelReference, parse_reference


def parse_models(settings: Settings, others: Collection[str] = ()) -> list[ModelReference]:
    """The models to serve; `others` are the names of what is served beside them. Raises ConfigError where two have one
    name, or the default is none of them."""
    references = [parse_reference(text, patterns=True) for text in settings.models]
    names = [*(r.served_as for r in references), *others]
    twice = sorted({n for n in names if names.count(n) > 1})
    if twice:
        raise ConfigError(
            f"Two models would have the served name {twice[0]!r}.", hint="Write NAME=MODEL for one of them."
        )
    default = settings.default_model
    if (
        default is not None
        and default not in others
        and not any(fnmatchcase(default, r.name) if r.is_pattern else default == r.served_as for r in references)
    ):
        raise ConfigError(
            f"The default model {settings.default_model!r} is not one of the served models: {', '.join(names)}."
        )
    return references


def patterns_of(references: list[ModelReference]) -> list[str]:
    return [str(r) for r in references if r.is_pattern]


@contextmanager
def registry_of(settings: Settings, references: list[ModelReference]) -> Iterator[Registry | None]:
    """The registry, open, if one of the models is in it."""
    if not any(r.needs_registry for r in references):
        yield None
        return
    registry = open_registry(
        settings.registry,
        artifacts=settings.artifacts,
        read_only=True,
        cache=settings.cache,
        cache_size=settings.cache_size,
        max_package_size=settings.max_package_size,
    )
    try:
        yield registry
    finally:
        registry.close()
