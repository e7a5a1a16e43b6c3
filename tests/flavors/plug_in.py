"""Installs the example plug-in for a test, as pip would: its module and its metadata in a directory on the path."""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import copyfile

from penstock.flavors.table import installed_flavors

EXAMPLE = Path(__file__).parent / "example_plugin"


def site(place: Path) -> Path:
    """A directory that holds the installed example plug-in."""
    project = tomllib.loads((EXAMPLE / "pyproject.toml").read_text())["project"]
    place.mkdir(parents=True)
    copyfile(EXAMPLE / "penstock_linear.py", place / "penstock_linear.py")
    metadata = place / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    )
    lines = [
        f"[{group}]\n" + "".join(f"{name} = {target}\n" for name, target in points.items())
        for group, points in project["entry-points"].items()
    ]
    (metadata / "entry_points.txt").write_text("\n".join(lines))
    return place


@contextmanager
def installed(place: Path) -> Iterator[Path]:
    """The example plug-in installed in this process, inside the block."""
    directory = str(site(place))
    sys.path.insert(0, directory)
    installed_flavors.cache_clear()
    try:
        yield place
    finally:
        sys.path.remove(directory)
        sys.modules.pop("penstock_linear", None)
        installed_flavors.cache_clear()
