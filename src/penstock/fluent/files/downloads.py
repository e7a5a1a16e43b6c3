"""Reading files back: of runs, of logged models and of registered versions."""

from __future__ import annotations

import json
import os
import posixpath
import tempfile
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

from penstock.errors import DependencyMissing, TrackingInvalid
from penstock.fluent.models.logged_models import model_of_run
from penstock.fluent.reading import delivered, get_run
from penstock.fluent.transport.interface import TrackingTransport
from penstock.fluent.transport.locations import checked_path
from penstock.fluent.views import FileInfo


class ArtifactPlace(NamedTuple):
    """A directory that a server gave away, and a path below it."""

    directory: str
    path: str


def read_artifact(run_id: str, path: str) -> bytes:
    """A file of a run. Raises TrackingRefused where there is none."""
    return delivered().transport.read_file(get_run(run_id).info.artifact_uri, checked_path(path))


def list_artifacts(
    artifact_uri: str | None = None, run_id: str | None = None, artifact_path: str | None = None
) -> list[FileInfo]:
    """What is in a directory of a run's files, or at a URI: `runs:/RUN_ID/PATH`, `models:/NAME/VERSION`,
    `models:/m-…`."""
    place = _place(artifact_uri, run_id, artifact_path)
    found = delivered().transport.list_files(place.directory, place.path)
    return [FileInfo(each["path"], bool(each.get("is_dir")), each.get("file_size")) for each in found]


def download_artifacts(
    artifact_uri: str | None = None,
    run_id: str | None = None,
    artifact_path: str | None = None,
    dst_path: str | os.PathLike[str] | None = None,
    tracking_uri: str | None = None,
) -> str:
    """Copies a file, or a directory with all in it, to a directory of this machine, by default a new temporary one;
    where it is then. Raises TrackingRefused for what is not there."""
    place = _place(artifact_uri, run_id, artifact_path)
    transport = delivered(tracking_uri or "").transport
    target = Path(dst_path) if dst_path is not None else Path(tempfile.mkdtemp(prefix="penstock-artifacts-"))
    target.mkdir(parents=True, exist_ok=True)
    for path in _files_below(transport, place):
        file = target / checked_path(path)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(transport.read_file(place.directory, path))
    return str(target / place.path) if place.path else str(target)


def load_text(artifact_uri: str) -> str:
    """A file as text."""
    return _content(artifact_uri).decode()


def load_dict(artifact_uri: str) -> dict[str, Any]:
    """A file of JSON, or of YAML by its name, for which PyYAML has to be installed."""
    content = _content(artifact_uri)
    if artifact_uri.endswith((".yaml", ".yml")):
        try:
            found = import_module("yaml").safe_load(content)
        except ImportError as error:
            raise DependencyMissing("Reading YAML needs PyYAML.", hint="pip install pyyaml") from error
    else:
        found = json.loads(content)
    if not isinstance(found, dict):
        raise TrackingInvalid(f"{artifact_uri} holds no mapping.", field="artifact_uri")
    return found


def directory_of(uri: str) -> ArtifactPlace:
    """Where the files are that a URI speaks of. Raises TrackingInvalid, TrackingRefused."""
    scheme, _, rest = uri.partition(":")
    if scheme == "runs":
        run_id, _, path = rest.strip("/").partition("/")
        return _of_run(run_id, path.strip("/"))
    if scheme == "models":
        return ArtifactPlace(_of_model(uri, rest.strip("/")), "")
    head, _, name = uri.rstrip("/").rpartition("/")
    if not head:
        raise TrackingInvalid(f"{uri!r} is no place of files.", hint="It looks like runs:/RUN_ID/PATH.", field="uri")
    return ArtifactPlace(head, name)


def _of_run(run_id: str, path: str) -> ArtifactPlace:
    """Files of the run, or of the model that it logged under that name."""
    place = ArtifactPlace(get_run(run_id).info.artifact_uri, path)
    if not path or "/" in path or delivered().transport.list_files(place.directory, path):
        return place
    logged = model_of_run(run_id, path)
    return place if logged is None else ArtifactPlace(logged.artifact_location, "")


def _of_model(uri: str, name: str) -> str:
    transport = delivered().transport
    if name.startswith("m-") and "/" not in name:
        return str(transport.get(f"logged-models/{name}", {})["model"]["info"]["artifact_uri"])
    name, alias = name.rpartition("@")[::2] if "@" in name else (name, "")
    name, version = (name, "") if alias else name.partition("/")[::2]
    if not name or not (alias or version):
        raise TrackingInvalid(f"{uri!r} is no version of a model.", hint="It looks like models:/NAME/1.", field="uri")
    if alias:
        found = transport.get("registered-models/alias", {"name": name, "alias": alias})["model_version"]
        version = str(found["version"])
    elif not version.isdigit():
        stages = [] if version == "latest" else [version]
        latest = transport.post("registered-models/get-latest-versions", {"name": name, "stages": stages})
        versions = [int(each["version"]) for each in latest.get("model_versions", [])]
        if not versions:
            raise TrackingInvalid(f"The model {name!r} has no version for {version!r}.", field="uri")
        version = str(max(versions))
    where = transport.get("model-versions/get-download-uri", {"name": name, "version": version})["artifact_uri"]
    if str(where).startswith(("runs:", "models:")):
        place = directory_of(str(where))
        return posixpath.join(place.directory, place.path)
    return str(where)


def _place(artifact_uri: str | None, run_id: str | None, artifact_path: str | None) -> ArtifactPlace:
    if (artifact_uri is None) == (run_id is None):
        raise TrackingInvalid("Give artifact_uri or run_id, and not both.", field="artifact_uri")
    if artifact_uri is not None:
        place = directory_of(artifact_uri)
        return place._replace(path=posixpath.join(place.path, artifact_path)) if artifact_path else place
    return ArtifactPlace(get_run(str(run_id)).info.artifact_uri, (artifact_path or "").strip("/"))


def _content(uri: str) -> bytes:
    place = directory_of(uri)
    return delivered().transport.read_file(place.directory, checked_path(place.path))


def _files_below(transport: TrackingTransport, place: ArtifactPlace) -> Iterator[str]:
    """Paths from the directory on. What has nothing in it is a file, or is not there, which reading it tells."""
    waiting, first = [place.path], True
    while waiting:
        path = waiting.pop()
        entries = transport.list_files(place.directory, path)
        if not entries and first and path:
            yield path
        first = False
        for each in entries:
            if each.get("is_dir"):
                waiting.append(each["path"])
            else:
                yield each["path"]
