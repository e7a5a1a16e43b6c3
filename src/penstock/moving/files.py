"""Where files of runs and models are, and how they come to the hub's own place if they are to.

By default every place stays as it is: nothing moves, both servers work on, and the way back stays open. What is
`mlflow-artifacts:` then lies below the hub's artifacts, where it lay below the old server's.
"""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from penstock.artifacts.trees import ArtifactTree, safe_path
from penstock.errors import PenstockError, TrackingInvalid, Unsupported
from penstock.hub.version_packages import package_if_readable
from penstock.hub.version_sources import below, place_of
from penstock.moving.fingerprints import text_mark
from penstock.moving.places import NamedDirectories, host_of, is_here, tree_of
from penstock.moving.records import Broken, SourceLoggedModel, SourceRun
from penstock.registry.entries import ModelVersion, PackageFacts
from penstock.storage.schemes import scheme_of
from penstock.tracking.experiments import Experiment
from penstock.tracking.runs import ENDED

if TYPE_CHECKING:
    from penstock.moving.steps.session import ImportSession

_LOGGED = re.compile(r"models:/+(m-[0-9a-zA-Z]+)/?")
_OF_RUN_OR_MODEL = re.compile(r"/(\d+/(?:models/m-[0-9a-zA-Z]+|[A-Za-z0-9][\w-]*)/artifacts(?:/.*)?)$", re.DOTALL)
_RUN = re.compile(r"runs:/+([^/]+)/+(.+?)/*", re.DOTALL)
_PROXIED = "mlflow-artifacts:"
_PATIENCE = 2.0  # seconds
_CHUNK = 8 * 1024 * 1024


class FilePlan:
    """`copy` says that files are to be copied below the hub's artifacts. `root` is the directory or URL below which the
    old server kept what is `mlflow-artifacts:`, empty where nobody said: `served` has it then, if the source hands it
    out. `beside` is the directory that the source itself lies in, empty where it is none of this machine: what runs and
    models name elsewhere on this machine is not copied, but for what is below `root`."""

    def __init__(
        self, *, copy: bool = False, root: str = "", served: ArtifactTree | None = None, beside: str = ""
    ) -> None:
        self._copy = copy
        self._root = root
        self._named = NamedDirectories([beside, "" if "://" in root and not root.startswith("file:") else _path(root)])
        self.served = served
        # Mutable state: how many places below the old server's artifacts stay as they are, for a word at the end.
        # And stores that do not answer.
        self.proxied = 0
        self._silent: set[str] = set()

    def experiment(self, given: Experiment) -> Experiment:
        """Where its new runs keep their files."""
        if not self._copy or given.artifact_location.startswith(_PROXIED):
            return given
        return replace(given, artifact_location=f"{_PROXIED}/{given.experiment_id}")

    def run(self, given: SourceRun) -> SourceRun:
        run = given.run
        self.proxied += run.artifact_uri.startswith(_PROXIED) and not self._copy
        if not self._moves(run.artifact_uri):
            return given
        uri = f"{_PROXIED}/{run.experiment_id}/{run.run_id}/artifacts"
        return replace(given, run=replace(run, artifact_uri=uri))

    def logged_model(self, given: SourceLoggedModel) -> SourceLoggedModel:
        model = given.model
        if not self._moves(model.artifact_uri):
            return given
        uri = f"{_PROXIED}/{model.experiment_id}/models/{model.model_id}/artifacts"
        return replace(given, model=replace(model, artifact_uri=uri))

    def version(self, session: ImportSession, given: ModelVersion, *, prompt: bool) -> ModelVersion:
        """With the place of its files as the registry has it: below the hub's artifacts, or an absolute path or URL."""
        origin = given.origin or given.source
        if prompt:
            return replace(given, origin=origin, source=f"prompt:{origin}")
        uri = self._followed(session, given.source or origin)
        if self._moves(uri) and (match := _OF_RUN_OR_MODEL.search(uri)):  # which was copied with its run or model
            uri = origin = f"{_PROXIED}/{match[1]}"
        try:
            place = place_of(uri) if uri.startswith(_PROXIED) else _path(uri).rstrip("/")
        except TrackingInvalid:
            place = uri
        return replace(given, origin=origin, source=below(session.target.registry.artifact_root, place))

    def package(self, place: str, hub: ArtifactTree) -> PackageFacts | None:
        """What the files of a version say; None where they cannot be read from here. No store is asked any more that
        took long to say nothing."""
        if (root := f"{scheme_of(place)}://{host_of(place)}") in self._silent:
            return None
        began = time.monotonic()
        try:
            in_hub = not scheme_of(place) and not place.startswith("/")
            tree, path = (hub, safe_path(place)) if in_hub else tree_of(place)
        except PenstockError:
            return None
        found = package_if_readable(tree, path)
        if found is None and host_of(place) and time.monotonic() - began > _PATIENCE:
            self._silent.add(root)
        return found

    # -- copying ------------------------------------------------------------------------------------------------------

    def copy_runs(self, session: ImportSession, runs: Sequence[SourceRun]) -> None:
        """Those of runs that have ended are looked at once."""
        if self._copy:
            _copy_each(
                session,
                [(each.run.run_id, each.run.artifact_uri, self.run(each).run.artifact_uri) for each in runs],
                {each.run.run_id for each in runs if each.run.status in ENDED},
            )

    def copy_logged_models(self, session: ImportSession, models: Sequence[SourceLoggedModel]) -> None:
        if self._copy:
            _copy_each(
                session,
                [
                    (each.model.model_id, each.model.artifact_uri, self.logged_model(each).model.artifact_uri)
                    for each in models
                ],
                {each.model.model_id for each in models if each.model.status == "LOGGED_MODEL_READY"},
            )

    def _moves(self, uri: str) -> bool:
        """Whether what is there gets another place: what is not copied keeps its own."""
        return self._copy and not uri.startswith(_PROXIED) and not self._named.objection(uri)

    def start(self, uri: str) -> str:
        """Where files are now: empty where they cannot be reached. Raises TrackingInvalid for a place that is none."""
        if not uri.startswith(_PROXIED):
            return uri
        if self._root:
            return f"{self._root.rstrip('/')}/{place_of(uri)}"
        return "" if self.served is None else uri

    def reached(self, start: str) -> tuple[ArtifactTree, str]:
        """The tree and the path in it of where files are now. Raises Unsupported and TrackingInvalid."""
        if self.served is not None and start.startswith(_PROXIED):
            return self.served, place_of(start)
        return self._named.tree_of(start)

    def _followed(self, session: ImportSession, uri: str) -> str:
        """What a URI of a run or of a logged model stands for."""
        if match := _LOGGED.fullmatch(uri):
            for model, _ in session.target.logged_models([match[1]]).values():
                return model.artifact_uri
        if match := _RUN.fullmatch(uri):
            for run in session.target.runs([match[1]]).values():
                return f"{run.artifact_uri.rstrip('/')}/{match[2]}"
        return uri


def _copy_each(session: ImportSession, given: Sequence[tuple[str, str, str]], ended: Collection[str]) -> None:
    """Each an id, the place of its files in the source, and the one in the hub, which may be the same."""
    marks = session.target.marks("files", [at for at, _, _ in given])
    done = {}
    for at, uri, new in given:
        try:
            start, end = session.files.start(uri), place_of(new)
        except TrackingInvalid as error:
            session.tally.note([Broken("artifact files", at, f"of {uri[:200]!a}: {error}")])
            continue
        mark = text_mark(start)
        if marks.get(at) == mark:
            continue
        if _copied(session, at, start, end) and at in ended:
            done[at] = mark
    session.target.keep_marks("files", done)


def _copied(session: ImportSession, at: str, start: str, end: str) -> bool:
    """Copies what is not there yet in that size. Says whether all is there."""
    if not start:
        why = "the old server's artifacts cannot be reached: say where they are with --artifacts-root"
        session.tally.note([Broken("artifact files", at, why)])
        return False
    whole = True
    try:
        tree, name = session.files.reached(start)
        for path, size in _files(tree, name):
            relative = path.removeprefix(f"{name}/")
            try:
                new = _copy_file(tree, path, size, session.target.artifacts, f"{end}/{relative}")
                session.tally.bring("artifact files", int(new), int(not new))
            except (PenstockError, OSError) as error:
                whole = False
                session.tally.note([Broken("artifact files", f"{at}/{relative}"[:300], str(error)[:200])])
    except Unsupported as error:
        session.tally.note([Broken("artifact files", at, str(error).rstrip("."))])
        return False
    except (PenstockError, OSError, ValueError) as error:
        session.tally.note([Broken("artifact files", at, f"{start[:200]} cannot be read: {str(error)[:200]}")])
        return False
    return whole


def _copy_file(start: ArtifactTree, path: str, size: int, end: ArtifactTree, place: str) -> bool:
    """Says whether it was not there."""
    directory, _, name = safe_path(place).rpartition("/")
    if any(entry.name == name and entry.size == size for entry in end.entries(directory)):
        return False
    with start.open(path).file as read, end.new(f"{directory}/{name}") as written:
        shutil.copyfileobj(read, written, _CHUNK)
    return True


def _files(tree: ArtifactTree, place: str) -> Iterator[tuple[str, int]]:
    """Every file below a place, with its size."""
    pending = [place]
    while pending:
        directory = pending.pop()
        for entry in tree.entries(directory):
            path = f"{directory}/{entry.name}".lstrip("/")
            if entry.size is None:
                pending.append(path)
            else:
                yield path, entry.size


def _path(uri: str) -> str:
    """A path of this machine as a path, anything else as it is."""
    return unquote(urlsplit(uri).path) if scheme_of(uri) == "file" and is_here(uri) else uri
