"""What another reading of the settings changes: pure. What a restart would make of them is the measure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from penstock.assembly.references import parse_models
from penstock.config import ServerSettings, Settings, per_model_settings
from penstock.registry.references import ModelReference

# The settings whose changes apply to a running server; those of single models do, too.
_LIVE = frozenset({"models", "default_model"})


@dataclass(frozen=True, slots=True)
class ModelChanges:
    """Models and patterns to serve from now on, those that are another model or have other settings, and those that are
    no longer served."""

    added: tuple[ModelReference, ...] = ()
    changed: tuple[ModelReference, ...] = ()
    removed: tuple[ModelReference, ...] = ()
    default: bool = False

    @property
    def any(self) -> bool:
        """Whether there is anything to do."""
        return bool(self.added or self.changed or self.removed or self.default)

    def __str__(self) -> str:
        parts = (("adding", self.added), ("changing", self.changed), ("removing", self.removed))
        texts = [f"{what} {', '.join(r.served_as for r in references)}" for what, references in parts if references]
        if self.default:
            texts.append("another default model")
        return "; ".join(texts) or "no model has changed"


def changes_of(
    before: ServerSettings, after: ServerSettings, members: Mapping[str, Collection[str]] | None = None
) -> ModelChanges:
    """`members` has the names of what each pattern serves now. Raises ConfigError for models that no server could
    have."""
    old = {reference.served_as: reference for reference in parse_models(before)}
    new = {reference.served_as: reference for reference in parse_models(after)}
    members = members or {}

    def differs(name: str) -> bool:
        names = (name, *(each for each in members.get(name, ()) if each not in new))
        return new[name] != old[name] or any(own(before, each) != own(after, each) for each in names)

    return ModelChanges(
        tuple(new[name] for name in new.keys() - old.keys()),
        tuple(new[name] for name in new.keys() & old.keys() if differs(name)),
        tuple(old[name] for name in old.keys() - new.keys()),
        before.default_model != after.default_model,
    )


def waiting_for_restart(started: Settings, after: Settings) -> list[str]:
    """The settings that are not what they were at the start and stay as they were until the next."""
    fixed = (name for name in Settings.model_fields if name not in _LIVE and name not in per_model_settings())
    return [name for name in fixed if getattr(started, name) != getattr(after, name)]


def own(settings: Settings, model: str) -> dict[str, Any]:
    """The settings that one model may have of its own, as they are for this one: plain values."""
    return settings.of(model).model_dump(mode="json", include=set(per_model_settings()))


def applied(running: ServerSettings, after: ServerSettings) -> ServerSettings:
    """What runs once the models of `after` are served: all else stays as it was at the start."""
    live = {*_LIVE, *per_model_settings(), "own"}
    return running.model_copy(update={name: getattr(after, name) for name in live})


def default_of(settings: Settings, references: Sequence[ModelReference], before: str | None) -> str | None:
    """The model that answers where a request names none. Beside one that comes, the one that did it so far goes on: its
    callers are to notice nothing."""
    names = [r.served_as for r in references if not r.is_pattern]
    if settings.default_model is not None:
        return settings.default_model
    if len(references) == len(names) == 1:
        return names[0]
    return before if before in names else None
