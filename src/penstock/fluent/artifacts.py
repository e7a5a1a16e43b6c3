"""Files of a run. Their content is copied to the spool, from which they are delivered in the order of what is logged: a
file that changes afterwards was logged as it was, and no upload holds up training."""

from __future__ import annotations

import errno
import json
import os
import posixpath
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Union

from penstock.errors import DependencyMissing, TrackingInvalid, TrackingUnavailable
from penstock.fluent.reading import get_run
from penstock.fluent.runs import run_in_use, target_of
from penstock.fluent.transport.locations import checked_path

_Path = Union[str, "os.PathLike[str]"]

_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


def log_artifact(local_path: _Path, artifact_path: str | None = None, run_id: str | None = None) -> None:
    """A file, or a directory with all that is in it, under the directory `artifact_path` of the run's files. Raises
    TrackingInvalid where there is none."""
    source = Path(local_path)
    if source.is_dir():
        log_artifacts(source, posixpath.join(artifact_path or "", source.name), run_id)
        return
    if not source.is_file():
        raise TrackingInvalid(f"No such file: {str(source)!r}.", field="local_path")
    path = posixpath.join(artifact_path or "", source.name)
    log_content(path, lambda place: _copied(source, place), run_id)


def log_artifacts(local_dir: _Path, artifact_path: str | None = None, run_id: str | None = None) -> None:
    """The files in a directory, and in those below it. Raises TrackingInvalid where there is none."""
    root = Path(local_dir)
    if not root.is_dir():
        raise TrackingInvalid(f"No such directory: {str(root)!r}.", field="local_dir")
    for source in sorted(root.rglob("*")):
        if source.is_file():
            path = posixpath.join(artifact_path or "", source.relative_to(root).as_posix())
            log_content(path, lambda place, source=source: _copied(source, place), run_id)  # type: ignore[misc]


def log_text(text: str, artifact_file: str, run_id: str | None = None) -> None:
    """A text as a file."""
    content = text.encode()
    log_content(artifact_file, lambda place: _written(content, place), run_id)


def log_dict(dictionary: Mapping[str, Any], artifact_file: str, run_id: str | None = None) -> None:
    """As JSON; as YAML where the file is named so, for which PyYAML has to be installed."""
    if artifact_file.endswith((".yaml", ".yml")):
        try:
            import yaml
        except ImportError as error:
            raise DependencyMissing("Writing YAML needs PyYAML.", hint="pip install pyyaml, or log JSON.") from error
        log_text(yaml.safe_dump(dict(dictionary), default_flow_style=False, allow_unicode=True), artifact_file, run_id)
        return
    log_text(json.dumps(dictionary, indent=2, default=_plain), artifact_file, run_id)


def log_figure(
    figure: Any, artifact_file: str, *, save_kwargs: Mapping[str, Any] | None = None, run_id: str | None = None
) -> None:
    """Of matplotlib, in the format that the file's name says; of Plotly, as HTML or an image."""
    options = dict(save_kwargs or {})
    ending = posixpath.splitext(artifact_file)[1].lower()
    if hasattr(figure, "savefig"):
        options.setdefault("format", ending.lstrip(".") or "png")
        log_content(artifact_file, lambda place: figure.savefig(str(place), **options), run_id)
    elif hasattr(figure, "write_html"):
        if ending == ".html":
            options = {"include_plotlyjs": "cdn", "auto_open": False, **options}
            log_content(artifact_file, lambda place: figure.write_html(str(place), **options), run_id)
        else:
            content = figure.to_image(format=ending.lstrip("."), **options)
            log_content(artifact_file, lambda place: _written(content, place), run_id)
    else:
        raise TrackingInvalid(f"{type(figure).__name__} is no figure of matplotlib or Plotly.", field="figure")


def log_content(path: str, write: Callable[[Path], Any], run_id: str | None = None) -> None:
    """A file whose content `write` puts at the place that it is given. Raises TrackingInvalid for a path that leads out
    of the run's files."""
    checked_path(path)
    run_id, outbox = target_of(run_id)
    try:
        outbox.add_file(run_id, path, write)
    except OSError as error:
        if error.errno in _NO_ROOM:  # a training goes on, as it does where points find no room
            outbox.lose_file(run_id, path, error)
            return
        raise TrackingUnavailable(
            f"The file {path!r} cannot be put into the spool: {error.strerror or error}.",
            hint="PENSTOCK_SPOOL names its directory.",
        ) from error


def get_artifact_uri(artifact_path: str | None = None) -> str:
    """Where the active run's files are kept. Raises TrackingUnavailable while no server can tell."""
    uri = get_run(run_in_use().info.run_id).info.artifact_uri
    return f"{uri.rstrip('/')}/{artifact_path}" if artifact_path else uri


def _copied(source: Path, place: Path) -> None:
    shutil.copyfile(source, place)


def _written(content: bytes, place: Path) -> None:
    place.write_bytes(content)


def _plain(value: Any) -> Any:
    """Numbers of NumPy are numbers; of anything else its text is kept."""
    return value.tolist() if hasattr(value, "tolist") else str(value)
