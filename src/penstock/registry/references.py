"""What a user writes for a model: a path, a bare name, or one of MLflow's URIs; `NAME=` may stand in front."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import unquote, urlsplit

from penstock.errors import ConfigError, ModelNotFound, NameInvalid, RegistryNotFound, Unsupported
from penstock.registry.interface import PRODUCTION, ModelVersion, Registry
from penstock.registry.names import check_alias, check_name, usable_name

LATEST = "latest"

_NO_PATTERN = re.compile(r"[*?\[\]!]")
_LOGGED_MODEL = re.compile(r"m-[0-9a-f]{32}")
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*")
_RUN = re.compile(r"runs:/+[0-9A-Za-z]+/+[^/].*")


@dataclass(frozen=True, slots=True)
class ModelReference:
    """A model to serve or score with. `served_as` is the name it gets; then one of `path`, `url` (a package in an
    object store), `uri` (one that only an MLflow server finds), or `name` with `alias` or `version`. An alias is
    followed, the rest stays. `bare` is whether it was written as a name alone, which a directory might have had."""

    served_as: str
    path: Path | None = None
    url: str = ""
    uri: str = ""
    name: str = ""
    alias: str = ""
    version: str = ""
    bare: bool = field(default=False, compare=False)

    @property
    def is_pattern(self) -> bool:
        """Whether `name` stands for every model that matches it. It is `served_as` too: of itself nothing is served."""
        return is_pattern(self.name)

    @property
    def follows(self) -> bool:
        return bool(self.alias)

    @property
    def needs_registry(self) -> bool:
        return self.path is None and not self.url

    def resolve(self, registry: Registry) -> ModelVersion:
        """The version it means now. Raises ModelNotFound, AliasNotFound, VersionNotFound, RegistryUnavailable."""
        if self.version:
            return registry.version(self.name, self.version)
        return registry.latest(self.name) if self.alias == LATEST else registry.resolve(self.name, self.alias)

    def __str__(self) -> str:
        if self.path is not None or self.url or self.uri:
            return str(self.path or self.url or self.uri)
        return f"models:/{self.name}@{self.alias}" if self.alias else f"models:/{self.name}/{self.version}"


@contextmanager
def directories_told(references: Collection[ModelReference]) -> Iterator[None]:
    """Where a name is looked up in vain, the error says that there is no directory of the name either."""
    try:
        yield
    except (ModelNotFound, RegistryNotFound) as error:
        bare = [r.name for r in references if r.bare and not r.is_pattern]
        meant = [name for name in bare if isinstance(error, RegistryNotFound) or f" {name!r} " in error.message]
        if not meant:
            raise
        message = f"{error.message.rstrip('.')}; nor is there a directory {' or '.join(meant)}."
        raise type(error)(message, hint=error.hint, remedy=error.remedy) from error


def is_pattern(name: str) -> bool:
    return any(character in name for character in "*?[")


def parse_reference(text: str, *, patterns: bool = False) -> ModelReference:
    """Reads MODEL or NAME=MODEL. Anything with a slash, or that exists, is a path or URL; a bare name means its
    production version. With `patterns`, a name may be a pattern of names. Raises ConfigError, NameInvalid,
    Unsupported."""
    name, equals, rest = text.partition("=")
    if equals and name and "/" not in name and not os.path.exists(text):
        check_name(name)
        reference = replace(_parse_model(rest), served_as=name)
    else:
        reference = _parse_model(text)
    if reference.is_pattern:
        _check_pattern(text, reference, patterns)
    return reference


def _check_pattern(text: str, reference: ModelReference, allowed: bool) -> None:
    if not allowed:
        raise ConfigError(
            f"{text} is a pattern for several models, but one model is needed.", hint="A pattern can only be served."
        )
    if reference.served_as != reference.name:
        raise ConfigError(f"{text}: a pattern matches several models, which keep their own names.", hint="Omit NAME=.")
    if reference.version or reference.alias == LATEST:
        raise ConfigError(
            f"{text} has no alias.", hint=f"Add an alias to the pattern: models:/{reference.name}@{PRODUCTION}"
        )


def _parse_model(text: str) -> ModelReference:
    if text.startswith("models:"):
        return _registered(text)
    if text.startswith(("runs:", "mlflow-artifacts:")):
        return _uri(text)
    if "://" in text and not text.startswith("file:"):
        return _url(text)
    if text.startswith("file:") or "/" in text or os.path.exists(text):
        path = _path_of_url(text) if text.startswith("file:") else Path(os.path.expanduser(text))
        return ModelReference(usable_name(path.absolute().resolve().name), path)
    if not text:
        raise ConfigError("The model has no name.", hint="Give a directory, a name, or models:/name@alias.")
    check_name(_NO_PATTERN.sub("x", text))
    return ModelReference(text, name=text, alias=PRODUCTION, bare=True)


def _url(text: str) -> ModelReference:
    """scheme://place/path, served under the last part of it."""
    scheme, _, place = text.partition("://")
    scheme = scheme.lower()
    if not _SCHEME.fullmatch(scheme):
        raise ConfigError(f"{text} is not the URL of a package.", hint="Write the URL as s3://bucket/models/fraud.")
    if scheme in ("http", "https"):
        raise Unsupported(
            f"Models cannot be read from {scheme}: URLs ({text}), since a web server does not list its files.",
            hint="Give a URL of an object store, s3://bucket/path, or download the package and give its directory. "
            "For an MLflow server, set the registry to its URL.",
        )
    user, at, _ = place.partition("/")[0].rpartition("@")
    if at and ":" in user:
        raise ConfigError(
            f"The {scheme}: URL of a model contains a password, which logs and listings would show.",
            hint="Remove the password; Penstock uses the credentials of the store's own client.",
        )
    place = place.rstrip("/")
    if not place:
        raise ConfigError(f"{text} has no bucket.", hint=f"Write {scheme}://bucket/path.")
    return ModelReference(usable_name(unquote(place.rpartition("/")[2])), url=f"{scheme}://{place}")


def _path_of_url(url: str) -> Path:
    parts = urlsplit(url)
    if parts.netloc not in ("", "localhost"):
        raise ConfigError(f"{url} names another host.", hint="A file: URL looks like file:///srv/models/fraud.")
    from urllib.request import url2pathname  # here, since that imports http and ssl

    return Path(url2pathname(parts.path))


def _uri(text: str) -> ModelReference:
    """runs:/<run id>/<path>, mlflow-artifacts:/<path>, served under the last part of the path."""
    if text.startswith("runs:") and not _RUN.fullmatch(text):
        raise ConfigError(
            f"{text} does not name a model of a run.", hint="Write runs:/<run id>/<path>, for example …/model."
        )
    return ModelReference(usable_name(text.rstrip("/").rpartition("/")[2]), uri=text.rstrip("/"))


def _registered(text: str) -> ModelReference:
    """models:/name@alias, models:/name/3, models:/name/stage, models:/name/latest, models:/m-<32 hex digits>."""
    body = text.removeprefix("models:").lstrip("/")
    if _LOGGED_MODEL.fullmatch(body):
        return ModelReference(body, uri=f"models:/{body}")
    if "@" in body:
        name, _, alias = body.rpartition("@")
        _check_any_name(name)
        check_alias(alias)
        return ModelReference(_served_as(name), name=name, alias=alias)
    name, _, version = body.partition("/")
    _check_any_name(name)
    if not version:
        raise ConfigError(
            f"{text} does not name a version.", hint=f"Write models:/{name}@{PRODUCTION} or models:/{name}/1."
        )
    if version.isascii() and version.isdigit():
        return ModelReference(_served_as(name), name=name, version=version.lstrip("0") or "0")
    stage = version.lower()
    if stage != LATEST:
        check_alias(stage)
    return ModelReference(_served_as(name), name=name, alias=stage)


def _served_as(name: str) -> str:
    return name if is_pattern(name) else usable_name(name)


def _check_any_name(name: str) -> None:
    """MLflow's rule, which is wider than ours: such a model is served under a name that URLs can hold."""
    if not name or set(name) & set("/:") or not name.isprintable() or len(name) > 500:
        check_name(name)
        raise NameInvalid(f"{name!r} cannot be a model name.")
