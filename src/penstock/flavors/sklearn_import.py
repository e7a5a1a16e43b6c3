"""scikit-learn imported without pandas.

`sklearn.utils.fixes` imports pandas where it is installed, and pandas imports pyarrow: 65 MB and half a second, for one
helper that mends missing values of frames. Models that take plain blocks never need it. So while that one module is
imported pandas counts as absent, and the helper is given a stand-in that imports pandas when it is used.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from threading import get_ident
from types import ModuleType
from typing import Any

_IMPORTS_PANDAS = "sklearn.utils.fixes"


def import_without_pandas() -> None:
    """Imports scikit-learn's first modules. Does nothing where they or pandas are there already, or nowhere."""
    if "pandas" in sys.modules or _IMPORTS_PANDAS in sys.modules:
        return
    try:
        with _absent("pandas"):
            from sklearn.utils import fixes
    except ImportError:  # whoever needs scikit-learn says so better
        return
    if getattr(fixes, "pd", fixes) is None:
        fixes.pd = _PandasOnUse()


class _PandasOnUse:
    """Stands for the module pandas."""

    def __getattr__(self, name: str) -> Any:
        import pandas

        return getattr(pandas, name)


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
