"""From a URI that MLflow knows to the files of a package: `models:/…`, `runs:/…`, `mlflow-artifacts:/…`, directories.

A URI may name another one, which may name a third: `locate` follows them to where the files are. `download` copies
them: from the tracking server, an object store, or a directory that this machine sees.
"""

from __future__ import annotations

import re
import shutil
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit
from urllib.request import url2pathname

from penstock.artifacts.remote_files import RemoteFiles
from penstock.errors import (
    ModelNotFound,
    PackageError,
    PackageInvalid,
    PackageNotFound,
    RegistryNotFound,
    RegistryRefused,
    RegistryUnavailable,
    Unsupported,
)
from penstock.manifest import FILE_NAME
from penstock.mlflow_api.client import MlflowRestClient
from penstock.package.seal import list_files
from penstock.payload import clipped, shortened
from penstock.storage.download import MAX_FILES, Download, plain_file_name
from penstock.storage.schemes import require_store

LOGGED_MODEL = re.compile(r"models:/+(m-[0-9a-f]{32})/?")

_REGISTERED = re.compile(r"models:/+([^/@]+)(?:/([0-9]+)|@([^/@]+))")
_RUN = re.compile(r"runs:/+([0-9A-Za-z]+)/+(.+?)/*")

# A source that names a source that names a source … is a circle.
_MAX_STEPS = 8

_MAX_DEPTH = 32
# Stores that only MLflow's own client reads, and URLs that name no files at all.
_MLFLOWS_OWN = frozenset({"dbfs", "databricks", "http", "https", "models", "runs"})
_MANIFEST_LIMIT = 16 * 1024 * 1024


class ArtifactSources:
    """Finds and downloads packages by URI, from one tracking server."""

    def __init__(self, server: MlflowRestClient) -> None:
        self._server = server

    def locate(self, uri: str) -> str:
        """Where the files are: an absolute local path, or a URL that `download` takes.

        Raises PackageNotFound, PackageInvalid, ModelNotFound, Unsupported, and what the server's answers raise.
        """
        seen = uri
        for _ in range(_MAX_STEPS):
            found = self._step(uri)
            if found is None:
                return self._place(uri)
            uri = found
        raise PackageInvalid(f"{seen} refers to another source, in an endless chain.")

    def _step(self, uri: str) -> str | None:
        """What a URI stands for, or None where it is a place itself."""
        if match := LOGGED_MODEL.fullmatch(uri):
            return self._logged_model(match[1])
        if match := _REGISTERED.fullmatch(uri):
            name, version, alias = match.groups()
            return self.download_uri(name, version or self._version_of(name, alias))
        if match := _RUN.fullmatch(uri):
            return self._run_artifact(match[1], match[2])
        return None

    def download_uri(self, name: str, version: str) -> str:
        """The URI of a registered version's files, as the server gives it."""
        try:
            return str(self._server.get("model-versions/get-download-uri", name=name, version=version)["artifact_uri"])
        except RegistryRefused as error:
            raise ModelNotFound(f"Version {version} of model {name!r} has no files. {error.message}") from None
        except KeyError:
            raise self._odd("a version's location") from None

    def _version_of(self, name: str, alias: str) -> str:
        try:
            return str(self._server.get("registered-models/alias", name=name, alias=alias)["model_version"]["version"])
        except RegistryRefused as error:
            raise ModelNotFound(f"models:/{name}@{alias} does not name a version. {error.message}") from None
        except (KeyError, TypeError):
            raise self._odd("an alias") from None

    def _logged_model(self, identifier: str) -> str:
        try:
            info = self._server.get(f"logged-models/{identifier}")["model"]["info"]
            uri, status = str(info["artifact_uri"]), str(info.get("status", "LOGGED_MODEL_READY"))
        except RegistryRefused as error:
            raise ModelNotFound(f"Logged model {identifier} does not exist. {error.message}") from None
        except RegistryNotFound:
            raise Unsupported(f"{self._server.place} does not support logged models, which need MLflow 3.") from None
        except (KeyError, TypeError, AttributeError):
            raise self._odd("a logged model") from None
        if status not in ("LOGGED_MODEL_READY", "READY"):
            raise PackageNotFound(f"The logged model {identifier} is not complete: {status}.")
        return uri

    def _run_artifact(self, run_id: str, path: str) -> str:
        """A path under the run's artifacts; since MLflow 3 the model of that name lies elsewhere, and is looked up."""
        try:
            info = self._server.get("runs/get", run_id=run_id)["run"]["info"]
            uri, experiment = f"{info['artifact_uri'].rstrip('/')}/{quote(path)}", str(info["experiment_id"])
        except RegistryRefused as error:
            raise ModelNotFound(f"Run {run_id} does not exist. {error.message}") from None
        except (KeyError, TypeError, AttributeError):
            raise self._odd("a run") from None
        if self._has_manifest(uri):
            return uri
        return self._model_of_run(run_id, path, experiment) or uri

    def _has_manifest(self, uri: str) -> bool:
        try:
            self.manifest(self._place(uri))
        except Unsupported:
            return True  # it cannot be looked at, and what is said then is about the place
        except PackageError:
            return False
        return True

    def _model_of_run(self, run_id: str, name: str, experiment: str) -> str | None:
        quoted = name.replace("'", "''")
        try:
            answer = self._server.send(
                "POST", "logged-models/search", experiment_ids=[experiment], filter=f"name = '{quoted}'"
            )
        except (RegistryRefused, RegistryNotFound):
            return None  # MLflow 2 knows no logged models
        for model in answer.get("models", ()):
            info = model.get("info", {}) if isinstance(model, dict) else {}
            if info.get("source_run_id") == run_id and "model_id" in info:
                return f"models:/{info['model_id']}"
        return None

    def _place(self, uri: str) -> str:
        """A path, the URL of proxied artifacts, or that of an object store. Raises Unsupported for other places."""
        scheme = urlsplit(uri).scheme
        if scheme == "mlflow-artifacts":
            return self._server.artifact_url(uri)
        if scheme == "file":
            return url2pathname(urlsplit(uri).path)
        if Path(uri).is_absolute():
            return uri.rstrip("/")
        if len(scheme) > 1 and scheme not in _MLFLOWS_OWN and "://" in uri:
            require_store(uri)
            return uri.rstrip("/")
        raise Unsupported(
            f"The files are at {clipped(uri)}, which Penstock cannot read.",
            hint="Let the tracking server serve the artifacts: mlflow server --serve-artifacts --artifacts-destination "
            "s3://…, and log models into mlflow-artifacts:/. Or download the files and serve the directory.",
        )

    # -- files -------------------------------------------------------------------------------------------------------

    def manifest(self, place: str) -> bytes:
        """The MLmodel file at a place. Raises PackageNotFound, PackageInvalid."""
        if _is_local(place):
            try:
                return _read_regular(Path(place, FILE_NAME))
            except OSError as error:
                raise _nothing_local(place, error) from None
        if _is_remote(place):
            try:
                return RemoteFiles(place).read(f"{place}/{FILE_NAME}", _MANIFEST_LIMIT)
            except PackageNotFound as error:
                raise PackageNotFound(f"There is no package at {place}. {error.message}") from None
        content = bytearray()
        try:
            reading = Download(place)
            for piece in self._server.read_artifact(f"{place}/{FILE_NAME}", reading.time_left):
                reading.came(len(piece))
                content += piece
                if len(content) > _MANIFEST_LIMIT:
                    raise PackageInvalid(f"The {FILE_NAME} file at {place} is too large for a manifest.")
        except RegistryRefused as error:
            raise PackageNotFound(f"There is no package at {place}. {error.message}") from None
        return bytes(content)

    def download(self, place: str, target: Path, download: Download | None = None) -> None:
        """Copies every file at a place into an empty directory, within what a download may take. Raises
        PackageNotFound, PackageInvalid, RegistryUnavailable."""
        download = download or Download(place)
        if _is_local(place):
            _copy(place, target, download)
        elif _is_remote(place):
            RemoteFiles(place).copy(place, target, download)
        else:
            self._download(place, target, download)

    def _download(self, place: str, target: Path, download: Download) -> None:
        """Names come from the server: only plain ones are used. No file may be longer than its listing says."""
        listed = self._list(place, target, download)
        if target / FILE_NAME not in {path for _, path, _ in listed}:
            what = f"{len(listed)} files, and no {FILE_NAME} among them" if listed else "the place is empty"
            raise PackageNotFound(f"There is no package at {place}: {what}.")
        download.expect([size for _, _, size in listed], target)
        for url, path, size in listed:
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
            except (FileExistsError, NotADirectoryError):
                raise PackageInvalid(f"{place} lists a name both as a file and as a directory.") from None
            self._download_file(url, path, size, download)
            download.file_came()

    def _list(self, place: str, target: Path, download: Download) -> list[tuple[str, Path, int]]:
        """Every file below a place: its URL, where it is to be, its size. Directories count, too: a server may list
        one below the other without end."""
        pending = [(place, target)]
        files: list[tuple[str, Path, int]] = []
        entries = 0
        while pending:
            url, directory = pending.pop()
            download.check_time()
            for entry in self._server.list_artifacts(url):
                name = _plain_name(entry, url)
                path, below = directory / name, f"{url}/{quote(name, safe='')}"
                entries += 1
                if entries > MAX_FILES or len(path.relative_to(target).parts) > _MAX_DEPTH:
                    raise PackageInvalid(f"The directory {place} has too many files for a package.")
                if entry.get("is_dir"):
                    pending.append((below, path))
                else:
                    files.append((below, path, _size(entry, below)))
        return files

    def _download_file(self, url: str, path: Path, size: int, download: Download) -> None:
        written = 0
        try:
            with path.open("xb") as file:
                for piece in self._server.read_artifact(url, download.time_left):
                    written += len(piece)
                    if written > size:
                        break
                    download.came(len(piece))
                    file.write(piece)
        except RegistryRefused as error:
            raise PackageNotFound(f"{url} was listed but no longer exists. {error.message}") from None
        except FileExistsError:
            raise PackageInvalid(f"{url} is listed twice.") from None
        if written != size:
            raise PackageInvalid(f"{url} has {'more' if written > size else 'fewer'} bytes than the listed {size}.")

    def _odd(self, what: str) -> RegistryUnavailable:
        return RegistryUnavailable(f"{self._server.place} describes {what} in a format that is not MLflow's.")

    def __repr__(self) -> str:
        return f"<ArtifactSources of {self._server.place}>"


def _is_local(place: str) -> bool:
    return "://" not in place


def _is_remote(place: str) -> bool:
    """Whether an object store has it, which we read by ourselves: what the server hands out is at http: URLs."""
    return "://" in place and not place.startswith(("http://", "https://"))


def _read_regular(path: Path) -> bytes:
    """A small file. Raises OSError, PackageInvalid for one that is large, or no file: a pipe never ends."""
    found = path.stat()
    if not stat.S_ISREG(found.st_mode) or found.st_size > _MANIFEST_LIMIT:
        raise PackageInvalid(f"{path} is not a regular file of a manifest's size.")
    return path.read_bytes()


def _copy(place: str, target: Path, download: Download) -> None:
    """A copy, since MLflow's directories are not sealed, and may be written to while they are served."""
    try:
        Path(place, FILE_NAME).stat()
        names = list_files(Path(place))
        download.expect([Path(place, name).stat().st_size for name in names], target)
        for name in names:
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(Path(place, name), target / name)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise _nothing_local(place, error) from None


def _nothing_local(place: str, error: OSError) -> PackageNotFound:
    return PackageNotFound(
        f"There is no package at {place} on this machine ({error.strerror}).",
        hint="The tracking server stores artifacts in a local directory. Mount this directory here under the "
        "same path, or let the server serve the artifacts: mlflow server --serve-artifacts.",
    )


def _plain_name(entry: Mapping[str, Any], url: str) -> str:
    """A listed name, which must be one step down. Raises PackageInvalid."""
    name = entry.get("path")
    if not isinstance(name, str) or not plain_file_name(name):
        raise PackageInvalid(f"The listing of {url} has a file with an invalid name: {shortened(name)}.")
    return name


def _size(entry: Mapping[str, Any], url: str) -> int:
    try:
        size = int(entry.get("file_size", 0))
    except (TypeError, ValueError, OverflowError):
        size = -1
    if size < 0:
        raise PackageInvalid(f"The listing of {url} gives no size.")
    return size
