"""Which classes and functions a pickle names, read from its bytes: nothing of it is run.

Read is what stands before the first array that joblib wrote into the stream, and nothing of a compressed pickle.
Source: pickletools, which describes every opcode.
"""

from __future__ import annotations

import pickletools
from itertools import islice
from pathlib import Path

# What a pickle of a scikit-learn estimator names anyway.
_USUAL = frozenset({"sklearn", "numpy", "scipy", "joblib", "builtins", "collections", "copyreg", "copy_reg", "_codecs"})
# Operations that are read, a second's work.
_MOST = 500_000


def foreign_types(path: Path) -> list[str]:
    """Those from outside of scikit-learn and the libraries below it, sorted: no file of data can hold them."""
    return sorted(name for name in _named(path) if name.partition(".")[0] not in _USUAL)


def _named(path: Path) -> set[str]:
    found: set[str] = set()
    pushed: list[object] = [None, None]  # what was put onto the stack last
    kept: dict[int, object] = {}
    try:
        with path.open("rb") as file:
            for operation, argument, _ in islice(pickletools.genops(file), _MOST):
                match operation.name:
                    case "MEMOIZE":
                        kept[len(kept)] = pushed[-1]
                        continue
                    case "BINPUT" | "LONG_BINPUT" | "PUT":
                        kept[int(str(argument))] = pushed[-1]
                        continue
                    case "GLOBAL":
                        found.add(str(argument).replace(" ", "."))
                    case "STACK_GLOBAL":
                        found.add(".".join(str(part) for part in pushed))
                is_get = operation.name in ("BINGET", "LONG_BINGET", "GET")
                pushed = [pushed[-1], kept.get(int(str(argument))) if is_get else argument]
    except Exception:  # an array in between, a damaged file: what was read stands
        return found
    return found
