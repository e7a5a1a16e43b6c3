"""What a supervisor and its workers say to each other about models: commands one way, events the other way.

Plain frozen dataclasses; each names its model. How they travel is the channel's business. What is loaded is named by
its *build*: the number of a version, and which revision of the model's settings it was loaded by, `3` or `3+1`: when
settings change while the server runs, two builds of one version are there for a while.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from penstock.serving.served_model import LoadFailure, RegistryState


def build_of(version: str, revision: int) -> str:
    return f"{version}+{revision}" if revision else version


def version_of(build: str) -> str:
    return build.partition("+")[0]


# -- commands: supervisor to worker ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PrepareVersion:
    """Load and prove the package at `path`, and report how that went. `settings` are the model's own, as they are in a
    file; `alias` is what it follows with them."""

    model: str
    version: str
    path: str
    digest: str
    revision: int = 0
    alias: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def build(self) -> str:
        return build_of(self.version, self.revision)


@dataclass(frozen=True, slots=True)
class SetVersions:
    """From now on the build `current` answers and `previous` is kept warm. Keep `candidate` if it is loaded; drop all
    others."""

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
    """All workers serve this build now."""

    model: str
    build: str


@dataclass(frozen=True, slots=True)
class AddModel:
    """Serve one more model, which follows this alias."""

    model: str
    alias: str


@dataclass(frozen=True, slots=True)
class RemoveModel:
    """Stop serving a model. Answered with ModelRemoved; events about it before that no longer count."""

    model: str


@dataclass(frozen=True, slots=True)
class ExpectModels:
    """What the server as a whole has to have loaded before it is ready, and the model that answers where a request
    names none."""

    models: list[str]
    patterns: list[str]
    default: str | None


@dataclass(frozen=True, slots=True)
class PatternStarted:
    """The models that the pattern found first are loaded, or were tried."""

    pattern: str


@dataclass(frozen=True, slots=True)
class PatternWaits:
    """The code of what keeps the pattern from finding its first models."""

    pattern: str
    because: str


# -- events: worker to supervisor --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class VersionProven:
    """The answer to PrepareVersion: the build is loaded and proven."""

    model: str
    build: str


@dataclass(frozen=True, slots=True)
class VersionFailed:
    """The other answer to PrepareVersion: the build cannot be served; `code` is that of the error's class."""

    model: str
    build: str
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
    Order
    | CancelLoad
    | NoteRegistry
    | NoteFailure
    | AllServe
    | AddModel
    | RemoveModel
    | ExpectModels
    | PatternStarted
    | PatternWaits
)
Event: TypeAlias = VersionProven | VersionFailed | VersionsSet | VersionCrashed | ModelRemoved
