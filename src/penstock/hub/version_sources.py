"""Where the files of a model version are: what a client gave as its source, checked and followed.

A source comes from a stranger, and whoever loads the version later reads what it names. So a place with the hub must
belong to the run or the logged model that the request names, a local path too, and no form of a path may lead out of
where it seems to be. Source of the rules: MLflow 3.18, `server/handlers.py`.
"""

from __future__ import annotations

import logging
import os
import re
from posixpath import normpath
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from penstock.artifacts.trees import ArtifactTree, safe_path
from penstock.errors import LoggedModelNotFound, RegistryError, RunNotFound, TrackingInvalid
from penstock.hub.fields import Fields
from penstock.hub.files.locations import objection
from penstock.hub.statuses import in_mlflows_words
from penstock.manifest import FILE_NAME
from penstock.registry import ModelVersion, Registry
from penstock.tracking.interface import TrackingStore
from penstock.tracking.logged_models import LoggedModel
from penstock.tracking.queries import LoggedModelQuery

log = logging.getLogger("penstock.hub")

PROMPT_TAG = "mlflow.prompt.is_prompt"

# What MLflow's clients send for prompts, which have no files.
_PROMPT_SOURCES = ("dummy-source", "prompt-template")
_PROXIED = re.compile(r"mlflow-artifacts:(?://[^/]*)?/*(.*)", re.DOTALL)
_LOGGED = re.compile(r"models:/+(m-[0-9a-f]{32})/?")
_REGISTERED = re.compile(r"models:/+([^/@]+)(?:/([^/@]+)|@([^/@]+))/?")
_RUN = re.compile(r"runs:/+([0-9A-Za-z_\-]+)/+(.+?)/*", re.DOTALL)


class GivenSource(NamedTuple):
    """What a request says. None is what it does not say."""

    source: str
    run_id: str | None
    model_id: str | None
    is_prompt: bool = False


class FoundSource(NamedTuple):
    """`place` is what the registry keeps as the version's source: below the hub's artifacts, or an absolute path or
    URL. `origin` is how it was given."""

    place: str
    origin: str
    run_id: str
    model_id: str


class SourceFinder:
    """Asks stores and files, so it runs in a thread. Everything it refuses is a TrackingInvalid about `source`."""

    def __init__(self, tracking: TrackingStore, registry: Registry, artifacts: ArtifactTree) -> None:
        self._tracking = tracking
        self._registry = registry
        self._artifacts = artifacts

    def find(self, given: GivenSource) -> FoundSource:
        """Raises TrackingInvalid, ModelNotFound, VersionNotFound, AliasNotFound."""
        source = given.source
        if given.is_prompt:
            if source not in _PROMPT_SOURCES:
                raise _refused(source, f"the source of a prompt is {_PROMPT_SOURCES[0]}")
            return FoundSource(f"prompt:{source}", source, given.run_id or "", given.model_id or "")
        if why := objection(source, self._registry.artifact_root):
            raise _refused(source, why)
        scheme = urlsplit(source).scheme.lower()
        if scheme == "models" and (match := _REGISTERED.fullmatch(source)):
            return self._of_version(given, *match.groups())
        model = self._model(given) if given.model_id else None
        run_id = given.run_id or (model.source_run_id if model else "")
        return FoundSource(self._place(given, model, scheme), source, run_id, given.model_id or "")

    def _place(self, given: GivenSource, model: LoggedModel | None, scheme: str) -> str:
        source = given.source
        if scheme == "models":
            match = _LOGGED.fullmatch(source)
            if match is None or model is None or match[1] != model.model_id:
                raise _refused(source, "model_id must be that of the logged model")
            return place_of(model.artifact_uri)
        if scheme == "runs":
            match = _RUN.fullmatch(source)
            if match is None or model is not None or match[1] != given.run_id:
                raise _refused(source, "run_id must be that of the run, without a model_id")
            return self._of_run(match[1], match[2])
        if scheme in ("", "file"):
            return self._local(given, model)
        if scheme == "mlflow-artifacts":
            root = self._root(given, model)
            if urlsplit(source).netloc != urlsplit(root).netloc or not _is_within(place_of(source), place_of(root)):
                raise _refused(source, "it must be below the artifacts of the run or model whose id is given")
            return place_of(source)
        return source.rstrip("/")

    def _of_version(self, given: GivenSource, name: str, version: str | None, alias: str | None) -> FoundSource:
        """A version that is registered already: a copy of it has its files and comes from where it came from."""
        try:
            found = self._registered(given, name, version, alias)
        except RegistryError as error:
            raise in_mlflows_words(error, Fields({"name": name, "version": version, "alias": alias})) from error
        if given.run_id not in (None, found.run_id) or given.model_id not in (None, found.logged_model, ""):
            raise _refused(given.source, "run_id and model_id must be those of that version")
        place = below(self._registry.artifact_root, found.source)
        return FoundSource(place, f"models:/{name}/{found.version}", found.run_id, given.model_id or "")

    def _registered(self, given: GivenSource, name: str, version: str | None, alias: str | None) -> ModelVersion:
        if self._registry.model(name).tags.get(PROMPT_TAG) == "true":
            raise _refused(given.source, "a prompt is no model")
        if alias is not None:
            return self._registry.resolve(name, alias)
        return self._registry.latest(name) if version == "latest" else self._registry.version(name, str(version))

    def _of_run(self, run_id: str, path: str) -> str:
        """Since MLflow 3 the model of that name mostly lies elsewhere."""
        try:
            run = self._tracking.run(run_id)
        except RunNotFound:
            raise _refused(f"runs:/{run_id}/{path}", "there is no such run") from None
        place = place_of(f"{run.artifact_uri.rstrip('/')}/{path}")
        if urlsplit(run.artifact_uri).scheme != "mlflow-artifacts" or self._has_manifest(place):
            return place
        quoted = path.replace("'", "''")
        for model in self._tracking.find_logged_models(LoggedModelQuery([run.experiment_id], f"name = '{quoted}'")):
            if model.source_run_id == run_id:
                log.warning(
                    "%s was given as a source, and the files of %s are taken: gateways load them, but MLflow's client "
                    "finds none below the run. Register models:/%s for it.",
                    ascii(f"runs:/{run_id}/{path}"[:300]),
                    model.model_id,
                    model.model_id,
                )
                return place_of(model.artifact_uri)
        return place

    def _has_manifest(self, place: str) -> bool:
        return any(entry.name == FILE_NAME for entry in self._artifacts.entries(place))

    def _local(self, given: GivenSource, model: LoggedModel | None) -> str:
        """A path on this machine's disk, if the run or model itself lies on it."""
        path = os.path.realpath(_local_path(given.source))
        if given.run_id or model is not None:
            root = self._root(given, model)
            if urlsplit(root).scheme in ("", "file"):
                within = os.path.realpath(_local_path(root))
                if within != "/" and _is_within(path, within):
                    return below(os.path.realpath(_local_path(self._registry.artifact_root)), path)
        raise _refused(
            given.source, "a local path must be inside the artifact directory of the run or model whose id is given"
        )

    def _root(self, given: GivenSource, model: LoggedModel | None) -> str:
        if model is not None:
            return model.artifact_uri
        if not given.run_id:
            raise _refused(given.source, "run_id or model_id must say whose artifact it is")
        try:
            return self._tracking.run(given.run_id).artifact_uri
        except RunNotFound:
            raise _refused(given.source, "there is no run with this run_id") from None

    def _model(self, given: GivenSource) -> LoggedModel:
        try:
            return self._tracking.logged_model(given.model_id or "")
        except LoggedModelNotFound:
            raise _refused(given.source, "there is no logged model with this model_id") from None


def place_of(uri: str) -> str:
    """A URI of the hub's own artifacts as the path below their root, any other as it is. Raises TrackingInvalid."""
    match = _PROXIED.fullmatch(uri)
    if match is None:
        return uri.rstrip("/")
    place = safe_path(match[1])
    if not place:
        raise _refused(uri, "the path is missing")
    return place


def below(root: str, source: str) -> str:
    """A version's source as the registry keeps it: what is below the root, without the root."""
    beginning = f"{root.rstrip('/')}/"
    if source.startswith("/") and root.startswith("/"):  # what is written in another way is the same place
        top, path = (f"/{normpath(each).lstrip('/')}" for each in (root, source))
        return path.removeprefix(f"{top}/") if path.startswith(f"{top}/") else source
    return source.removeprefix(beginning) if source.startswith(beginning) else source


def files_uri(version: ModelVersion, root: str) -> str:
    """Where a client finds a version's files."""
    if version.origin and not version.origin.startswith("models:"):
        return version.origin
    place = below(root, version.source)
    return place if place == version.source else f"mlflow-artifacts:/{place}"


def _is_within(path: str, root: str) -> bool:
    return bool(root) and f"{path.rstrip('/')}/".startswith(f"{root.rstrip('/')}/")


def _local_path(source: str) -> str:
    """Raises TrackingInvalid for one that names another host."""
    parts = urlsplit(source)
    if parts.scheme != "file":
        return source
    if parts.netloc not in ("", "localhost"):
        raise _refused(source, "it names another host")
    return unquote(parts.path)


def _refused(source: str, why: str) -> TrackingInvalid:
    return TrackingInvalid(f"Invalid model version source: {source[:300]!a}: {why}.", field="source")
