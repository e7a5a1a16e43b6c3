"""How MLflow's file store lays things out: a directory for each object, with `meta.yaml` and a file for each param, tag
and metric. Source: MLflow 3.18, `store/tracking/file_store.py` and `store/model_registry/file_store.py`.

Files may be missing, torn or of another kind than they should be: what cannot be read is told, and never followed out
of the directory by a link.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from penstock.errors import ImportFailed
from penstock.moving.records import Broken, Kind

T = TypeVar("T")

META = "meta.yaml"
TRASH = ".trash"
MODELS = "models"
RESERVED = frozenset({"tags", "datasets", "traces", MODELS})
_MAX_META = 16 * 1024 * 1024
_COMPARED = 64 * 1024 * 1024


class UnreadableError(Exception):
    """Why a file or directory is no object: a part of a sentence."""


def subdirectories(place: Path) -> list[Path]:
    """By name; none where there is no directory. Hidden ones and links are left out. Raises ImportFailed."""
    try:
        with os.scandir(place) as entries:
            names = [e.name for e in entries if e.is_dir(follow_symlinks=False) and not e.name.startswith(".")]
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise ImportFailed(f"{place} cannot be read: {error.strerror or error}.") from error
    return [place / name for name in sorted(names)]


def files_of(place: Path) -> list[tuple[str, Path]]:
    """Files below a directory by their relative path, which is the name of what they hold."""
    found = []
    for folder, folders, names in os.walk(place, onerror=_raise):
        folders.sort()
        for name in names:
            path = Path(folder, name)
            if not path.is_symlink():
                found.append((path.relative_to(place).as_posix(), path))
    return sorted(found)


def read_meta(place: Path) -> dict[str, Any]:
    """What `meta.yaml` of a directory says. Raises UnreadableError."""
    import yaml

    path = place / META
    try:
        if path.stat().st_size > _MAX_META:
            raise UnreadableError(f"its {META} is too large")
        content = yaml.load(path.read_bytes(), getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except FileNotFoundError:
        raise UnreadableError(f"it has no {META}") from None
    except (OSError, yaml.YAMLError, ValueError, RecursionError) as error:
        why = str(getattr(error, "problem", None) or getattr(error, "strerror", None) or type(error).__name__)
        raise UnreadableError(f"its {META} cannot be read: {why}") from None
    if not isinstance(content, dict):
        raise UnreadableError(f"its {META} is empty or no mapping")
    return content


def read_texts(place: Path, kind: Kind, at: str, broken: Callable[[Broken], None]) -> dict[str, str]:
    """Files below a directory, each a value by its name. Those that cannot be read are told."""
    found = {}
    for name, path in files_of(place):
        try:
            found[name] = path.read_bytes().decode()
        except (OSError, UnicodeDecodeError) as error:
            why = "its value is no UTF-8" if isinstance(error, UnicodeDecodeError) else f"{error.strerror or error}"
            broken(Broken(kind, f"{at}/{name}"[:300], why))
    return found


def count_points(path: Path) -> int:
    """Lines of a file of points, one that is there twice once. Of a file that is too large to tell, all are counted."""
    if path.stat().st_size <= _COMPARED:
        with path.open("rb") as file:
            return len({line.rstrip(b"\n") for line in file})
    lines, last = 0, b"\n"
    with path.open("rb") as file:
        while piece := file.read(1024 * 1024):
            lines += piece.count(b"\n")
            last = piece[-1:]
    return lines + (last != b"\n")


def points_below(place: Path) -> int:
    return sum(count_points(path) for _, path in files_of(place))


def experiment_places(root: Path) -> Iterator[tuple[Path, bool]]:
    """Directories of experiments, and whether they are in the trash."""
    for place in subdirectories(root):
        if place.name != MODELS:
            yield place, False
    for place in subdirectories(root / TRASH):
        yield place, True


def run_places(experiment: Path) -> list[Path]:
    return [place for place in subdirectories(experiment) if place.name not in RESERVED]


def is_file_store(place: Path) -> bool:
    """Whether a directory looks like one: an experiment is in it, or a registered model."""
    candidates = [*experiment_places(place), *((each, False) for each in subdirectories(place / MODELS))]
    return any((each / META).is_file() for each, _ in candidates)


def _raise(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):
        raise ImportFailed(f"{error.filename} cannot be read: {error.strerror or error}.") from error
