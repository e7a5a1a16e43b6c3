"""What a registry holds: models, their versions, and what was changed about them by whom. Values, and no behaviour."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, NewType, TypeAlias, get_args

# MLflow's stages; a version is in one of them. Aliases have taken their place, but its clients still know them.
Stage: TypeAlias = Literal["None", "Staging", "Production", "Archived"]
STAGES: tuple[Stage, ...] = get_args(Stage)

VersionStatus: TypeAlias = Literal["READY", "PENDING_REGISTRATION", "FAILED_REGISTRATION"]
STATUSES: tuple[VersionStatus, ...] = get_args(VersionStatus)

# Stays a model's own through renames; a model that is made again under a deleted one's name may have it too.
ModelKey = NewType("ModelKey", int)

ChangeKind: TypeAlias = Literal["create", "register", "describe", "tag", "untag", "stage", "rename", "delete"]


@dataclass(frozen=True, slots=True)
class ModelVersion:
    """One registered version. `version` is a decimal number as text; `source` is its package, an absolute path or URL.

    `digest` is the package digest (64 hex digits), or None where the registry does not know it. `signature` is in
    MLflow's manifest form. Times are in UTC; `updated_at` is None where nobody knows, and `registered_by` empty.
    `origin` is the source as it was given, where that was a URI of MLflow's that stands for `source`; `logged_model` is
    the id of the logged model that the version came from.
    """

    name: str
    version: str
    source: str
    created_at: datetime
    digest: str | None = None
    signature: Mapping[str, Any] | None = None
    flavors: tuple[str, ...] = ()
    size_bytes: int = 0
    description: str = ""
    run_id: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    aliases: tuple[str, ...] = ()
    registered_by: str = ""
    origin: str = ""
    stage: Stage = "None"
    run_link: str = ""
    logged_model: str = ""
    status: VersionStatus = "READY"
    status_message: str = ""
    updated_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class RegisteredModel:
    """One model name. `aliases` maps alias to version; `latest` is the highest number, or None without versions."""

    name: str
    created_at: datetime
    latest: str | None = None
    versions: int = 0
    aliases: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    description: str = ""
    updated_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class NewVersion:
    """What `register` is given: a ModelVersion before it has a number. `source` may be relative to `artifact_root`.

    `of_model` is the key of the model that is to get it; with None the model is made with its first version.
    """

    source: str
    digest: str | None = None
    signature: Mapping[str, Any] | None = None
    flavors: tuple[str, ...] = ()
    size_bytes: int = 0
    description: str = ""
    run_id: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    registered_by: str = ""
    origin: str = ""
    run_link: str = ""
    logged_model: str = ""
    status: VersionStatus = "READY"
    status_message: str = ""
    of_model: ModelKey | None = None


@dataclass(frozen=True, slots=True)
class PackageFacts:
    """What the files of a version say of it, once somebody has read them."""

    digest: str
    signature: Mapping[str, Any] | None = None
    flavors: tuple[str, ...] = ()
    size_bytes: int = 0


@dataclass(frozen=True, slots=True)
class ModelChange:
    """Who changed what about a model, or about one `version` of it. Moves of aliases are told by its history."""

    name: str
    kind: ChangeKind
    at: datetime
    by: str
    version: str | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True)
class ModelQuery:
    """`filter` and `order_by` are texts in MLflow's grammar; prompts are found by a filter that asks for them."""

    filter: str = ""
    order_by: tuple[str, ...] = ()
    limit: int = 100
    page_token: str = ""


@dataclass(frozen=True, slots=True)
class VersionQuery:
    """The same for versions of all models."""

    filter: str = ""
    order_by: tuple[str, ...] = ()
    limit: int = 10_000
    page_token: str = ""
