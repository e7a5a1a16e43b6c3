"""What a supervisor and its workers say to each other about models: commands one way, events the other way.

Plain frozen dataclasses; each names its model. How they travel is the channel's business.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from penstock.serving.served_model import LoadFailure, RegistryState

# -- commands: supervisor to worker ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PrepareVersion:
    """Load and prove the package at `path`, and report how that went."""

    model: str
    version: str
    path: str
    digest: str


@dataclass(frozen=True, slots=True)
class SetVersions:
    """From now on `current` answers and `previous` is kept warm. Keep `candidate` if it is loaded; drop all others."""

    model: str
    current: str | None
    previous: str | None
    candidate: str | None


@dataclass(frozen=True, slots=True)
class CancelLoad:
    """The version that loads is no longer wanted: end its load if possible. Its outcome is reported all the same."""

    model: str


@dataclass(frozen=True, slots=True)
class NoteRegistry:
    """What the model's registry said last, to be shown."""

    model: str
    said: RegistryState


@dataclass(frozen=True, slots=True)
class NoteFailure:
    """What keeps the wanted version from answering; None where nothing does."""

    model: str
    failure: LoadFailure | None


@dataclass(frozen=True, slots=True)
class AllServe:
    """All workers serve this version now."""

    model: str
    version: str


@dataclass(frozen=True, slots=True)
class AddModel:
    """Serve one more model, which was not known at the start and follows this alias."""

    model: str
    alias: str


@dataclass(frozen=True, slots=True)
class RemoveModel:
    """Stop serving a model that was added. Answered with ModelRemoved; events about it before that no longer count."""

    model: str


@dataclass(frozen=True, slots=True)
class PatternStarted:
    """The models that the pattern found first are loaded, or were tried."""

    pattern: str


# -- events: worker to supervisor --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class VersionProven:
    """The answer to PrepareVersion: the version is loaded and proven."""

    model: str
    version: str


@dataclass(frozen=True, slots=True)
class VersionFailed:
    """The other answer to PrepareVersion: the version cannot be served; `code` is that of the error's class."""

    model: str
    version: str
    code: str
    message: str
    hint: str


@dataclass(frozen=True, slots=True)
class VersionsSet:
    """The answer to SetVersions: `current` answers in this worker now."""

    model: str
    current: str | None


@dataclass(frozen=True, slots=True)
class VersionCrashed:
    """A version's process in this worker has ended again and again while it answered; `reason` is how."""

    model: str
    version: str
    reason: str


@dataclass(frozen=True, slots=True)
class ModelRemoved:
    """The answer to RemoveModel."""

    model: str


Order: TypeAlias = PrepareVersion | SetVersions
Command: TypeAlias = (
    Order | CancelLoad | NoteRegistry | NoteFailure | AllServe | AddModel | RemoveModel | PatternStarted
)
Event: TypeAlias = VersionProven | VersionFailed | VersionsSet | VersionCrashed | ModelRemoved
