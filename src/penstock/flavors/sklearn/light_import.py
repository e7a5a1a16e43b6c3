"""scikit-learn imported without what predicting seldom needs.

Its modules import scipy.stats, scipy.optimize, pandas and more at their beginning, for a function or two each, mostly
ones that fit: that is more than half of the time that importing scikit-learn takes. Here the modules of scikit-learn,
and no others, are given an `__import__` that for a listed few puts an `OnUse` in the place of a module or function.
That imports the real one when it is first used. scipy and pandas are not touched: other code gets them whole.

What is listed was looked up in the sources of the versions in `estimator_names`. What is not listed is imported as
ever.
"""

from __future__ import annotations

import builtins
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from importlib.util import find_spec
from threading import Lock, get_ident
from types import ModuleType, SimpleNamespace
from typing import Any

from penstock.flavors.sklearn.estimator_names import installed_estimators

_IMPORTS_PANDAS = "sklearn.utils.fixes"

# Modules that scikit-learn names and asks for something only when it is used.
_MODULES = frozenset({"pandas", "scipy.interpolate", "scipy.optimize", "scipy.spatial.distance", "scipy.stats"})
# Functions, classes and a distribution that it takes from modules, and only calls, or asks for something.
_NAMES: Mapping[str, frozenset[str]] = {
    "scipy.integrate": frozenset({"trapezoid"}),
    "scipy.interpolate": frozenset({"BSpline"}),
    "scipy.optimize": frozenset({"linear_sum_assignment", "linprog", "minimize", "minimize_scalar"}),
    "scipy.optimize._linesearch": frozenset({"line_search_wolfe2", "scalar_search_wolfe1"}),
    "scipy.spatial.distance": frozenset({"cdist", "pdist", "squareform"}),
    "scipy.stats": frozenset({"chi2", "gmean", "rankdata", "spearmanr"}),
    "scipy.stats.mstats": frozenset({"mquantiles"}),
    "sklearn.callback._progressbar": frozenset({"ProgressBar"}),  # which imports rich
}


class OnUse:
    """Stands for a module, or for something in one, which is imported when anything is asked of it, and then takes its
    place among the globals where it stands."""

    __slots__ = ("__globals", "__module", "__name")

    def __init__(self, module: str, name: str | None = None, globals: dict[str, Any] | None = None) -> None:
        self.__module, self.__name, self.__globals = module, name, globals

    def __real(self) -> Any:
        module = import_module(self.__module)
        real = module if self.__name is None else getattr(module, self.__name)
        places, self.__globals = self.__globals or {}, None
        places |= {name: real for name, value in list(places.items()) if value is self}
        return real

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__real(), name)

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        return self.__real()(*arguments, **named)

    def __instancecheck__(self, instance: object) -> bool:
        return isinstance(instance, self.__real())

    def __subclasscheck__(self, subclass: type) -> bool:
        return issubclass(subclass, self.__real())

    def __mro_entries__(self, bases: tuple[Any, ...]) -> tuple[Any, ...]:
        return (self.__real(),)

    def __repr__(self) -> str:
        return f"<{'.'.join(filter(None, (self.__module, self.__name)))}, imported on use>"


def _import(
    name: str,
    globals: dict[str, Any] | None = None,
    locals: Mapping[str, object] | None = None,
    fromlist: Sequence[str] | None = (),
    level: int = 0,
) -> Any:
    # A function imports what it is about to use; only a module's own statements are looked at.
    if level == 0 and locals is globals:
        found = _whole(name, globals) if not fromlist else _parts(name, fromlist, globals)
        if found is not None:
            return found
    return builtins.__import__(name, globals, locals, fromlist or (), level)


def _whole(name: str, globals: dict[str, Any] | None) -> Any:
    """What `import name` gives, or None where it is to be imported now."""
    if name not in _MODULES or name in sys.modules:
        return None
    top = name.partition(".")[0]
    if top != name:
        scipy = import_module(top)  # which imports its own modules on use, if it is new enough
        return scipy if name.count(".") == 1 and "__getattr__" in vars(scipy) else None
    return OnUse(name, None, globals) if find_spec(name) is not None else None


def _parts(name: str, wanted: Sequence[str], globals: dict[str, Any] | None) -> Any:
    """What `from name import wanted` takes them from, or None where all are to be imported now."""
    later = {part: OnUse(f"{name}.{part}", None, globals) for part in wanted if _is_later(f"{name}.{part}")}
    if name not in sys.modules:
        later |= {part: OnUse(name, part, globals) for part in wanted if part in _NAMES.get(name, ())}
    if not later:
        return None
    now = [part for part in wanted if part not in later]
    source = builtins.__import__(name, None, None, now, 0) if now else None
    return SimpleNamespace(**later, **{part: getattr(source, part) for part in now})


def _is_later(module: str) -> bool:
    return module in _MODULES and module not in sys.modules


_BUILTINS: dict[str, Any] = {**vars(builtins), "__import__": _import}


class _Loader(SourceFileLoader):
    def exec_module(self, module: ModuleType) -> None:
        module.__dict__["__builtins__"] = _BUILTINS
        super().exec_module(module)


class _Finder(MetaPathFinder):
    """Finds scikit-learn's modules where they are, and has them loaded by `_Loader`."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if not fullname.startswith("sklearn."):
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and type(spec.loader) is SourceFileLoader:
            spec.loader = _Loader(spec.loader.name, spec.loader.path)
        return spec


_installing = Lock()


def import_lightly() -> None:
    """Call before scikit-learn is imported. Does nothing where it is there already, or nowhere."""
    if _IMPORTS_PANDAS in sys.modules:
        return
    if installed_estimators() is None:
        _import_without_pandas()
        return
    with _installing:
        if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
            sys.meta_path.insert(0, _Finder())


def _import_without_pandas() -> None:
    """For versions of scikit-learn that nobody has looked at: its first modules, while pandas counts as absent."""
    if "pandas" in sys.modules:
        return
    try:
        with _absent("pandas"):
            from sklearn.utils import fixes
    except ImportError:  # the code that needs scikit-learn says so better
        return
    if getattr(fixes, "pd", fixes) is None:
        fixes.pd = OnUse("pandas")


class _Absent(MetaPathFinder):
    """Finds that a module is not installed, for imports of one thread: others may import it meanwhile."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._thread = get_ident()

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname == self._name and get_ident() == self._thread:
            raise ModuleNotFoundError(f"No module named {fullname!r}", name=fullname)
        return None


@contextmanager
def _absent(name: str) -> Iterator[None]:
    finder = _Absent(name)
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
