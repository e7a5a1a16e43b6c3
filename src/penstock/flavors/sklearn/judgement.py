"""What a skops file is judged to be before it is loaded: data or code, and where it may run."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from penstock.error_text import text_of
from penstock.errors import ArtifactInvalid
from penstock.flavors.sklearn.estimator_files import skops_types
from penstock.flavors.sklearn.estimator_names import installed_estimators
from penstock.flavors.sklearn.estimator_placement import process_reasons
from penstock.flavors.sklearn.reviewed_attributes import code_in_attributes
from penstock.flavors.sklearn.skops_description import described_objects
from penstock.flavors.sklearn.skops_reader import holds_usual_types
from penstock.flavors.sklearn.trusted_types import untrusted
from penstock.payload import clipped


class Judgement(NamedTuple):
    """`code` says why loading it counts as running code, `apart` why it should run in a process of its own."""

    code: tuple[str, ...]
    apart: tuple[str, ...]


def judge(path: Path) -> Judgement:
    """Reads the description alone; nothing is made. Raises ArtifactInvalid."""
    found = path.stat()
    return _judge(path, found.st_ino, found.st_size, found.st_mtime_ns)


@lru_cache(maxsize=64)
def _judge(path: Path, inode: int, size: int, changed: int) -> Judgement:
    """A load asks several times; the file's identity is part of the question."""
    objects = described_objects(path)
    types = [] if holds_usual_types(path) else untrusted(skops_types(path))
    code = [f"contains unreviewed types: {', '.join(types)}"] if types else []
    try:
        code += code_in_attributes(objects)
        apart = process_reasons(objects)
    except Exception as error:  # nodes that are not formed as skops forms them
        raise ArtifactInvalid(f"{path.name} is damaged or not a skops file: {clipped(text_of(error), 200)}.") from error
    if installed_estimators() is None:
        apart = ["the installed version of scikit-learn was not reviewed for the gateway"]
    return Judgement(tuple(code), tuple(apart))
