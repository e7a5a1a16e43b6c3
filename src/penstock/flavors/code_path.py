"""The `code/` directory of packages: on the import path, never under another package's names.

Python has one namespace of modules per process. A second package whose module names are taken would silently run the
first one's code, so it is refused here. Modules found there import MLflow's stand-ins where MLflow is not installed.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from typing import Any

from penstock.errors import CodeConflict
from penstock.flavors.python.mlflow_stubs.imports import CodeLoader

# The only state: which package (digest) put which top-level module name into this process. Guarded by _lock.
_owners: dict[str, str] = {}
_lock = threading.Lock()


def add_code_directory(directory: Path, digest: str, *, unused: str = "") -> None:
    """Puts a package's code directory first on sys.path. Raises CodeConflict where a name is taken.

    `unused` is a module in it that this process never imports, so that every package may have it.
    """
    if not directory.is_dir():
        return
    sys.dont_write_bytecode = True  # a sealed package stays as it is
    names = {p.stem for p in directory.glob("*.py")} | {p.name for p in directory.iterdir() if _is_package(p)}
    names.discard(unused)
    with _lock:
        for name in sorted(names):
            _check_free(name, directory, digest)
        for name in names:
            _owners[name] = digest
    if _finder not in sys.meta_path:
        sys.meta_path.insert(0, _finder)
    path = str(directory.resolve())
    if path in sys.path:
        sys.path.remove(path)
    sys.path.insert(0, path)


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

    For packages in the making, which are loaded once from a place that is gone afterwards.
    """
    with _lock:
        owned = dict(_owners)
    try:
        yield
    finally:
        root = directory.resolve()
        with _lock:
            for name in _owners.keys() - owned.keys():
                del _owners[name]
        sys.path[:] = [place for place in sys.path if not Path(place).is_relative_to(root)]
        for name, module in list(sys.modules.items()):
            file = getattr(module, "__file__", None)
            if isinstance(file, str) and Path(file).is_relative_to(root):
                del sys.modules[name]


def _is_package(path: Path) -> bool:
    # To its end: a search that is given up leaves a folder open.
    return path.is_dir() and path.name.isidentifier() and bool(list(path.rglob("*.py")))


def _check_free(name: str, directory: Path, digest: str) -> None:
    owner = _owners.get(name)
    if owner is not None and owner != digest:
        raise CodeConflict(
            f"The package's code/ has a module {name!r}, but package {owner[:12]} has already loaded another module "
            f"with that name into this process.",
            hint="Serve both models in model processes (isolation auto or process), or rename the module.",
        )
    module = sys.modules.get(name)
    if owner is None and module is not None:
        file = getattr(module, "__file__", None) or ""
        if not file or not Path(file).resolve().is_relative_to(directory.resolve()):
            raise CodeConflict(
                f"The package's code/ holds a module {name!r}, but a module of that name is loaded already"
                f"{f' from {file}' if file else ''}.",
                hint="Rename the package's module.",
            )
