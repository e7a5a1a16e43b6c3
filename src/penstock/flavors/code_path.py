"""The `code/` directory of packages: on the import path, never under another package's names.

Python has one namespace of modules per process. A second package whose module names are taken would silently run the
first one's code, so it is refused here, unless both have the very same files under that name. Modules found there
import MLflow's stand-ins where MLflow is not installed.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import Any

from penstock.errors import CodeConflict
from penstock.flavors.interface import LoadContext, inside, posix
from penstock.flavors.python.mlflow_stubs.imports import CodeLoader
from penstock.machine.started import process_started
from penstock.manifest import Manifest

CODE = "code"
# Modules that Penstock puts there for MLflow, and never imports: every package may have them.
LOADERS = frozenset({"penstock_loader", "penstock_sklearn"})

# The only state: which package (digest) put which top-level module name into this process, and where it lies. Guarded
# by _lock.
_owners: dict[str, tuple[str, Path]] = {}
_lock = threading.Lock()


def code_directory(manifest: Manifest, flavor: str) -> str | None:
    """Where a package says that its modules are, relative to it: MLflow writes it into both sections."""
    for section in (manifest.python_function, manifest.flavors.get(flavor)):
        if section is not None and (code := section.get("code")):
            return posix(str(code))
    return None


def own_modules(directory: Path) -> list[str]:
    """What is in a code directory beside Penstock's loaders, by file name, sorted."""
    if not directory.is_dir():
        return []
    return sorted(p.name for p in directory.iterdir() if p.name != "__pycache__" and p.stem not in LOADERS)


def add_code_of(context: LoadContext, flavor: str) -> None:
    """Makes the modules of a trusted package importable. Raises CodeConflict, PackageInvalid."""
    code = code_directory(context.manifest, flavor)
    if context.trusted and code is not None:
        add_code_directory(inside(context.directory, code, "code directory"), context.digest)


def add_code_directory(directory: Path, digest: str) -> None:
    """Puts a package's code directory first on sys.path. Raises CodeConflict where a name is taken."""
    names = module_places(directory)
    if not names:
        return
    sys.dont_write_bytecode = True  # a sealed package stays as it is
    with _lock:
        for name in sorted(names):
            _check_free(name, names[name], digest)
        for name, place in names.items():
            _owners.setdefault(name, (digest, place))
    if _finder not in sys.meta_path:
        sys.meta_path.insert(0, _finder)
    path = str(directory.resolve())
    if path in sys.path:
        sys.path.remove(path)
    sys.path.insert(0, path)


def module_places(directory: Path) -> dict[str, Path]:
    """The files and folders of modules in a directory by the modules' names, without Penstock's loaders."""
    if not directory.is_dir():
        return {}
    found = {p.stem: p for p in directory.glob("*.py")} | {p.name: p for p in directory.iterdir() if _is_package(p)}
    return {name: place for name, place in found.items() if name not in LOADERS}


class _Finder(MetaPathFinder):
    """Finds the modules of packages where Python would, and has them run by their own loader."""

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        if fullname.partition(".")[0] not in _owners:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and type(spec.loader) is SourceFileLoader:
            spec.loader = CodeLoader(fullname, spec.loader.path)
        return spec


_finder = _Finder()


@contextmanager
def lent_code(directory: Path) -> Iterator[None]:
    """Takes back, in the end, what loading from `directory` added to this process: names, modules and the path.

    For packages in the making, which are loaded once from a place that is gone afterwards. Whoever packages a model has
    often imported its modules already. Those whose files have changed since are set aside meanwhile, so that what the
    package holds is what is tried.
    """
    stale = {name for name, place in module_places(directory / CODE).items() if _is_other(name, place)}
    aside = {name: module for name, module in sys.modules.items() if name.partition(".")[0] in stale}
    with _lock:
        owned = dict(_owners)
        for name in stale & owned.keys():
            del _owners[name]
    for name in aside:
        del sys.modules[name]
    before = dict(sys.modules)
    try:
        yield
    finally:
        root = directory.resolve()
        with _lock:
            for name in _owners.keys() - owned.keys():
                del _owners[name]
            _owners.update(owned)
        sys.path[:] = [place for place in sys.path if not Path(place).is_relative_to(root)]
        for name, module in list(sys.modules.items()):
            added = before.get(name) is not module  # to ask all modules where they lie would take a quarter of a second
            if added and (name.partition(".")[0] in stale or _lies_in(module, root)):
                del sys.modules[name]
        sys.modules.update(aside)


def _is_other(name: str, place: Path) -> bool:
    """Whether this process has another module of that name, loaded or claimed by a package."""
    if name in sys.modules and name not in _owners:
        return not _is_unchanged(_place_of(sys.modules[name]), place)
    return name in _owners and not _same_files(_owners[name][1], place)


def _lies_in(module: ModuleType, root: Path) -> bool:
    place = _place_of(module)
    return place is not None and place.is_relative_to(root)


def _is_package(path: Path) -> bool:
    # To its end: a search that is given up leaves a folder open.
    return path.is_dir() and path.name.isidentifier() and bool(list(path.rglob("*.py")))


def _check_free(name: str, place: Path, digest: str) -> None:
    owner = _owners.get(name)
    if owner is not None:
        if owner[0] != digest and not _same_files(owner[1], place):
            raise CodeConflict(
                f"The package's code/ has a module {name!r}, but package {owner[0][:12]} has already loaded another "
                f"module with that name into this process.",
                hint="Run both models in model processes (isolation auto or process), or rename the module.",
            )
        return
    module = sys.modules.get(name)
    loaded = None if module is None else _place_of(module)
    if module is not None and not (loaded and loaded.is_relative_to(place.resolve())):
        if _is_unchanged(loaded, place):
            return
        raise CodeConflict(
            f"The package's code/ holds a module {name!r}, but a module of that name is loaded already"
            f"{f' from {loaded}' if loaded else ''}, and may not be the same.",
            hint="Load the model in a process of its own (isolation process), or rename the package's module.",
        )


def _place_of(module: ModuleType) -> Path | None:
    """The file of a module, or the folder of a package; None where it has neither."""
    file = getattr(module, "__file__", None)
    if isinstance(file, str):
        path = Path(file).resolve()
        return path.parent if path.name == "__init__.py" else path
    folders = list(getattr(module, "__path__", ()))
    return Path(folders[0]).resolve() if len(folders) == 1 else None


def _same_files(loaded: Path | None, place: Path) -> bool:
    """Whether a loaded module's files are those of the package's module, byte for byte."""
    if loaded is None or loaded.is_dir() != place.is_dir():
        return False
    return all(mine.is_file() and mine.read_bytes() == theirs.read_bytes() for mine, theirs in _pairs(loaded, place))


def _is_unchanged(loaded: Path | None, place: Path) -> bool:
    """The same for a module that may have been edited after it was imported, as in a notebook: it is known to be what
    its files say only where they are older than the process."""
    if loaded is None or not _same_files(loaded, place):
        return False
    return all(mine.stat().st_mtime < process_started() for mine, _ in _pairs(loaded, place))


def _pairs(loaded: Path, place: Path) -> list[tuple[Path, Path]]:
    """The loaded file for each file of the package's module."""
    if not place.is_dir():
        return [(loaded, place)]
    return [(loaded / file.relative_to(place), file) for file in place.rglob("*.py")]
