"""Importing `mlflow` and its submodules: modules made of ours, and one clear error for what is not offered."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

from penstock.stand_in.contents import contents

_INSTALL = "what else MLflow has comes with it (pip install mlflow)."


class NotOffered(AttributeError):
    """A name of MLflow's that the stand-in does not have."""


class StandInModule(ModuleType):
    """Lies about nothing: `__version__` names Penstock, and what is missing is said."""

    __penstock_stand_in__ = True

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        if f"{self.__name__}.{name}" in contents():  # as in MLflow, which imports its flavors when they are asked for
            return import_module(f"{self.__name__}.{name}")
        raise NotOffered(lack(f"{self.__name__}.{name}", self.__name__), name=name, obj=self)

    def __dir__(self) -> Sequence[str]:
        return sorted({name for name in vars(self) if not name.startswith("__")} | {*_offered(self.__name__)})


class StandInFinder(MetaPathFinder):
    """For where no MLflow is installed, which whoever uses it looks up."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Raises ModuleNotFoundError for a module of MLflow's that is not offered."""
        if fullname.partition(".")[0] != "mlflow":
            return None
        if fullname == "mlflow" or isinstance(sys.modules.get("mlflow"), StandInModule):
            modules = contents()
            if fullname in modules:
                return ModuleSpec(fullname, _StandInLoader(modules[fullname]), is_package=True)
            # Of another name: `from mlflow import …` would say nothing of one that lacks the module that it asked for.
            raise ModuleNotFoundError(lack(fullname, fullname.rpartition(".")[0]), name="mlflow")
        return None


class _StandInLoader(Loader):
    def __init__(self, names: Mapping[str, Any]) -> None:
        self._names = names

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return StandInModule(spec.name, "Penstock's stand-in for MLflow, which is not installed.")

    def exec_module(self, module: ModuleType) -> None:
        # Tools and programs print where a module is; there is one file for all of them, which makes them.
        vars(module).update({"__file__": __file__, **self._names})


def lack(what: str, module: str) -> str:
    """The error for a name, which tells the nearest that its module offers. Whether MLflow has it is not known here."""
    offered = _offered(module)
    near = get_close_matches(what[len(module) + 1 :], offered, cutoff=0.5)
    meant = f"did you mean {' or '.join(f'{module}.{name}' for name in near)}? " if near else ""
    listed = f"dir({module}) lists what there is" if offered else "docs/tracking.md lists what there is"
    return f"{what} is not offered by Penstock, which stands in for MLflow here: {meant}{listed}; {_INSTALL}"


def _offered(module: str) -> list[str]:
    """Names in a module, and the modules right below it."""
    modules = contents()
    names = {name for name in modules.get(module, ()) if not name.startswith("__")}
    inner = {name[len(module) + 1 :] for name in modules if name.startswith(f"{module}.")}
    return sorted(names | {name for name in inner if "." not in name})
