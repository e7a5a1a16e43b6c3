"""Which models the settings name, and the registry they are looked up in."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from fnmatch import fnmatchcase

from penstock.config import Settings
from penstock.errors import ConfigError
from penstock.registry import Registry, open_registry
from penstock.registry.references import ModelReference, directories_told, parse_reference


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


def patterns_of(references: Iterable[ModelReference]) -> list[str]:
    return [str(r) for r in references if r.is_pattern]


class OpenedRegistry:
    """The registry of a server, opened when the first of its models needs one, which may be while it serves."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        # The whole mutable state.
        self._registry: Registry | None = None

    def get(self) -> Registry:
        """Raises ConfigError."""
        if self._registry is None:
            self._registry = _open(self._settings)
        return self._registry

    def needed_by(self, references: Iterable[ModelReference]) -> Registry | None:
        """None where no model is in it. Raises ConfigError."""
        return self.get() if any(r.needs_registry for r in references) else None

    def close(self) -> None:
        if self._registry is not None:
            self._registry.close()

    def __repr__(self) -> str:
        return f"<OpenedRegistry {self._registry!r}>"


@contextmanager
def opened_registry(settings: Settings) -> Iterator[OpenedRegistry]:
    """Closed at the end, if it was opened."""
    registry = OpenedRegistry(settings)
    try:
        yield registry
    finally:
        registry.close()


@contextmanager
def registry_of(settings: Settings, references: list[ModelReference]) -> Iterator[Registry | None]:
    """The registry, open, if one of the models is in it."""
    with directories_told(references), opened_registry(settings) as registry:
        yield registry.needed_by(references)


def _open(settings: Settings) -> Registry:
    return open_registry(
        settings.registry,
        artifacts=settings.artifacts,
        read_only=True,
        cache=settings.cache,
        cache_size=settings.cache_size,
        max_package_size=settings.max_package_size,
    )
