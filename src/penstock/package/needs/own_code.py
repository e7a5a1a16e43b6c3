"""Modules of a model's author, which are in no distribution: checked, and copied into the package's code/ directory.

This is the layout of MLflow's `code_paths`: `features.py` becomes `code/features.py`, the folder `churn` becomes
`code/churn/…`, and `code/` is put on the import path before the model is loaded.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

from penstock.errors import PackagingFailed
from penstock.flavors.code_path import LOADERS
from penstock.package.needs.module_origin import distributions_of, lies_in, needed_by_penstock
from penstock.package.needs.source_imports import parse_source
from penstock.payload import some
from penstock.sizes import shown_size

# More is a project with its data, or an environment, and no module that somebody wrote.
MOST_FILES = 2000
MOST_BYTES = 64 << 20

# Files that are written later.
_OF_THE_PACKAGE = frozenset(
    {"MLmodel", "SHA256SUMS", "conda.yaml", "python_env.yaml", "requirements.txt", "input_example.json"}
    | {"serving_input_example.json", "expected_output.json"}
)

_COMPILED = (".pyc", ".pyo")


def check_code(given: str | Path | Iterable[str | Path]) -> dict[str, Path]:
    """The files and folders of modules by the modules' names, and files of data by their own, as absolute paths. Raises
    PackagingFailed for what cannot be imported by its name from there, or is no code."""
    found: dict[str, Path] = {}
    for path in map(Path, [given] if isinstance(given, (str, Path)) else given):
        name = _module_name(path)
        place = Path(os.path.abspath(path))  # a link keeps its own name
        if name in found:
            raise PackagingFailed(f"Two files would have the name {name!r} in the package: {found[name]} and {place}.")
        if place.is_dir() or is_module(place):
            _check_name(name, place)
        if place.is_dir():
            _check_folder(place)
        elif place.suffix == ".py":
            parse_source(place)
        found[name] = place
    return found


def is_module(file: Path) -> bool:
    return file.name.endswith((".py", *EXTENSION_SUFFIXES))


def copy_code(modules: Mapping[str, Path], directory: Path) -> None:
    """Copies them into the code directory of a package, which is made if need be."""
    directory.mkdir(exist_ok=True)
    for place in modules.values():
        if not place.is_dir():
            shutil.copyfile(place, directory / place.name)
            continue
        for file in _files(place):
            target = directory / place.name / file.relative_to(place)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, target)


def copy_data(modules: Mapping[str, Path], directory: Path) -> None:
    """Copies files of data beside the model's own Python file as well, which is not in the code directory, but finds
    them beside itself. What the package itself has there stays."""
    for place in modules.values():
        free = place.name not in _OF_THE_PACKAGE and not (directory / place.name).exists()
        if free and place.is_file() and not is_module(place):
            shutil.copyfile(place, directory / place.name)


def _module_name(path: Path) -> str:
    """Raises PackagingFailed."""
    if not path.exists():
        raise PackagingFailed(f"The code {path} does not exist.")
    if path.is_dir():
        folder = Path(os.path.abspath(path))
        if Path.cwd().is_relative_to(folder) and not (folder / "__init__.py").exists():
            raise PackagingFailed(
                f"The code {path} is the folder that this runs in, with all that is in it.",
                hint=f"Name the modules in it that the model imports: {some(_modules_in(folder)) or 'there are none'}.",
            )
        return folder.name
    if path.name in ("__init__.py", "__main__.py"):
        raise PackagingFailed(
            f"The code {path} is a part of a package.", hint=f"Give its folder: {path.absolute().parent}"
        )
    return path.name.partition(".")[0] if is_module(path) else path.name


def _modules_in(folder: Path) -> list[str]:
    files = [p.name for p in folder.glob("*.py")]
    return sorted([*files, *(p.parent.name for p in folder.glob("*/__init__.py"))])


def _check_name(name: str, place: Path) -> None:
    """Raises PackagingFailed for names that Python could not import, or would find something else under."""
    if not name.isidentifier() or (place.is_dir() and "." in place.name):
        raise PackagingFailed(
            f"No program can import {place} by its name: {name!r} is no identifier.", hint="Rename the file or folder."
        )
    if name in sys.stdlib_module_names or name in LOADERS or name == "penstock":
        owner = "Penstock" if name not in sys.stdlib_module_names else "Python's standard library"
        raise PackagingFailed(
            f"{place} has the name of a module of {owner}, {name!r}, which it would hide or be hidden by.",
            hint="Rename the module, import it by its new name where the model is trained, and train again.",
        )
    for distribution in distributions_of(name):
        if not lies_in(place, distribution) and needed_by_penstock(distribution):
            raise PackagingFailed(
                f"{place} has the name of an installed library, {distribution.name}, which Penstock itself uses: a "
                f"server would find that one under the name {name!r}.",
                hint="Rename the module, import it by its new name where the model is trained, and train again.",
            )


def _check_folder(folder: Path) -> None:
    """Raises PackagingFailed."""
    count = size = 0
    python = False
    for file in _files(folder):
        count, size, python = count + 1, size + file.stat().st_size, python or is_module(file)
        if file.suffix == ".py":
            parse_source(file)
        if count > MOST_FILES or size > MOST_BYTES:
            raise PackagingFailed(
                f"The code {folder} has more than {MOST_FILES:,} files or {shown_size(MOST_BYTES)}.",
                hint="Name the modules and packages in it that the model imports, one by one.",
            )
    if not python:
        raise PackagingFailed(f"The code {folder} holds no Python file.")


def _files(folder: Path, above: Sequence[Path] = ()) -> Iterator[Path]:
    """What is to be copied, through links, in order: not what Python compiled, nor what is hidden. Raises
    PackagingFailed."""
    real = folder.resolve()
    if real in above:
        raise PackagingFailed(f"The link {folder} leads back to a folder that it is in.", hint="Remove the link.")
    if (folder / "pyvenv.cfg").exists():
        raise PackagingFailed(
            f"The code holds a virtual environment, {folder}.",
            hint="Name the modules that the model imports, not the folder with all of them; libraries are installed "
            "from the package's requirements.",
        )
    for path in sorted(folder.iterdir()):
        if path.is_dir():
            if path.name == "__pycache__" or (path.name.startswith(".") and not (path / "pyvenv.cfg").exists()):
                continue
            yield from _files(path, (*above, real))
        elif not path.name.startswith(".") and path.suffix not in _COMPILED:
            if not path.is_file():
                raise PackagingFailed(f"The code {path} is no regular file, or a link to nothing.")
            yield path
