"""Which modules a model asks for while it is loaded and predicts, whether or not they were imported before.

Every import statement, and every name that a pickle refers to, goes through `builtins.__import__`; plug-in lookups go
through `importlib.import_module`. Both are watched meanwhile. What a library imports while it is imported itself is its
own affair, and its distribution's; what it imports later, inside a function, it may have declared or not.
Source: MLflow's _capture_modules.py does alike, in a process of its own.
"""

from __future__ import annotations

import builtins
import importlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import ModuleType
from typing import Any


@dataclass(frozen=True, slots=True)
class SeenImport:
    """`importer` is the module whose code asked, empty where a pickle did, or other code that gives only a name.
    `at_import` is whether that module was being imported itself."""

    module: str
    importer: str = ""
    at_import: bool = False


@contextmanager
def recorded_imports() -> Iterator[set[SeenImport]]:
    """The imports made in this process until the end, collected in the set."""
    seen: set[SeenImport] = set()
    plain_import, plain_import_module = builtins.__import__, importlib.import_module

    def watched_import(
        name: str,
        globals: Mapping[str, Any] | None = None,
        locals: Mapping[str, Any] | None = None,
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> ModuleType:
        if level == 0:
            caller = sys._getframe(1).f_globals if globals is None else globals
            seen.add(_seen(name, caller, compiled=isinstance(fromlist, list)))
            if fromlist and name in _SHARED:
                seen.update(_seen(f"{name}.{part}", caller) for part in fromlist)
        return plain_import(name, globals, locals, fromlist, level)

    def watched_import_module(name: str, package: str | None = None) -> ModuleType:
        if not name.startswith("."):
            seen.add(_seen(name, sys._getframe(1).f_globals))
        return plain_import_module(name, package)

    builtins.__import__, importlib.import_module = watched_import, watched_import_module
    try:
        yield seen
    finally:
        builtins.__import__, importlib.import_module = plain_import, plain_import_module


# Namespaces of several distributions, where only the part that is imported tells which is meant.
_SHARED = frozenset({"google", "google.cloud", "azure"})


# Libraries that look up by name what a file refers to.
_READERS = ("cloudpickle", "dill", "joblib", "pickle", "skops")


def _seen(name: str, globals: Mapping[str, Any], *, compiled: bool = False) -> SeenImport:
    """`compiled` says that compiled code asked for it, as the unpickler does: the globals are those of whoever called
    it."""
    importer = str(globals.get("__name__") or "")
    at_import = _is_being_imported(importer, globals)
    reads = importer.partition(".")[0] in _READERS or (compiled and not _is_ours(importer))
    return SeenImport(name, "" if reads and not at_import else importer, at_import)


def _is_being_imported(importer: str, globals: Mapping[str, Any]) -> bool:
    """Of a compiled module it is Python's importing code that is seen."""
    spec = globals.get("__spec__")
    return bool(getattr(spec, "_initializing", False)) or importer.startswith("importlib._bootstrap")


def _is_ours(importer: str) -> bool:
    """Whether Penstock's own code called the compiled code that imports; but for its flavors, which unpickle."""
    return importer.startswith("penstock.") and not importer.startswith("penstock.flavors.")
