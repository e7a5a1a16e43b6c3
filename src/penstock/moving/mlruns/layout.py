"""How MLflow's file store lays things out: a directory for each object, with `meta.yaml` and a file for each param, tag
and metric. Source: MLflow 3.18, `store/tracking/file_store.py` and `store/model_registry/file_store.py`.

Files may be missing, torn or of another kind than they should be: what cannot be read is told, and never followed out
of the directory by a link.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from penstock.moving.mlruns.metas import META
from penstock.moving.mlruns.places import Place, UnreadableError, files_of, held_in, subdirectories
from penstock.moving.records import Broken, Kind

TRASH = ".trash"
MODELS = "models"
RESERVED = frozenset({"tags", "datasets", "traces", MODELS})
_COMPARED = 64 * 1024 * 1024
_MAX_VALUE = 16 * 1024 * 1024
# More than any point is written with.
_MAX_LINE = 2048


def read_texts(place: Place, kind: Kind, at: str, broken: Callable[[Broken], None]) -> dict[str, str]:
    """Files below a directory, each a value by its name. Those that cannot be read are told."""
    found = {}
    for name, path in files_of(place):
        try:
            with path.opened() as file:
                content = file.read(_MAX_VALUE + 1)
            if len(content) > _MAX_VALUE:
                raise UnreadableError("has more than a value may have")
            found[name] = content.decode()
        except UnicodeDecodeError:
            broken(Broken(kind, f"{at}/{name}"[:300], "its value is no UTF-8"))
        except (OSError, UnreadableError) as error:
            broken(Broken(kind, f"{at}/{name}"[:300], why_no_file(error)))
    return found


def why_no_file(error: OSError | UnreadableError) -> str:
    return f"its file {error}" if isinstance(error, UnreadableError) else f"{error.strerror or error}"


def lines_of(file: BinaryIO) -> Iterator[bytes]:
    """What is too long for a line comes in pieces, which are no points."""
    return iter(lambda: file.readline(_MAX_LINE), b"")


def count_points(path: Place) -> int:
    """Lines of a file of points, one that is there twice once. Of a file that is too large to tell, all are counted.
    One that cannot be read is one, which is told where it is read."""
    try:
        with path.opened() as file:
            if path.size() <= _COMPARED:
                return len({line.rstrip(b"\n") for line in lines_of(file)})
            return sum(1 for _ in lines_of(file))
    except (OSError, UnreadableError):
        return 1


def points_below(place: Place) -> int:
    return sum(count_points(path) for _, path in files_of(place))


def experiment_places(root: Place) -> Iterator[tuple[Place, bool]]:
    """Directories of experiments, and whether they are in the trash."""
    for place in subdirectories(root):
        if place.name != MODELS:
            yield place, False
    for place in held_in(root, TRASH):
        yield place, True


def run_places(experiment: Place) -> list[Place]:
    return [place for place in subdirectories(experiment) if place.name not in RESERVED]


def is_file_store(directory: Path) -> bool:
    """Whether a directory looks like one: an experiment is in it, or a registered model."""
    root = Place(directory)
    candidates = [*(place for place, _ in experiment_places(root)), *held_in(root, MODELS)]
    return any((each / META).is_file() for each in candidates)
