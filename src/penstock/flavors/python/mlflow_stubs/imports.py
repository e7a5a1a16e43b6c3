"""The `import` of a package's own code, which finds the stand-ins also when the code runs later, in predict."""

from __future__ import annotations

import builtins
from collections.abc import Mapping, Sequence
from importlib.machinery import SourceFileLoader
from types import CodeType, FunctionType, ModuleType
from typing import Any

from penstock.flavors.python.mlflow_stubs import standins


def _import(
    name: str,
    globals: Mapping[str, object] | None = None,
    locals: Mapping[str, object] | None = None,
    fromlist: Sequence[str] | None = (),
    level: int = 0,
) -> ModuleType:
    if level == 0 and name.partition(".")[0] == "mlflow":
        with standins():
            return builtins.__import__(name, globals, locals, fromlist or (), level)
    return builtins.__import__(name, globals, locals, fromlist or (), level)


# A function looks its import up among the builtins that its globals name when it is made.
BUILTINS: dict[str, Any] = {**vars(builtins), "__import__": _import}


class CodeLoader(SourceFileLoader):
    """Runs a module of a package's own, from its source alone: nobody has sealed what was compiled beside it."""

    def path_stats(self, path: str) -> Mapping[str, Any]:
        """Without them Python looks for no compiled file."""
        raise OSError

    def exec_module(self, module: ModuleType) -> None:
        module.__dict__["__builtins__"] = BUILTINS
        super().exec_module(module)


def make_function(code: CodeType, globals: dict[str, Any], *more: Any) -> FunctionType:
    """A function from a pickle, as cloudpickle makes it."""
    globals["__builtins__"] = BUILTINS
    return FunctionType(code, globals, *more)
