"""Which Python a model's environment is made with: the minor version that the package was made with, where there is one
at hand. Nothing is downloaded, unless uv is told so (UV_PYTHON_DOWNLOADS)."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

from penstock.environments.uv import Uv
from penstock.errors import EnvironmentUnbuildable, remedy
from penstock.machine.interpreters import Interpreter, minor_of

# Penstock's own code runs in a model process.
OLDEST = (3, 11)


def choose(wanted: str, here: Interpreter, others: Callable[[], Sequence[Interpreter]]) -> Interpreter | None:
    """The interpreter for a package that was made with `wanted`; None where none of its minor version is at hand.

    Empty means any. This program's own goes first: its libraries are known to work here. The others are looked for
    only if it does not fit. Raises EnvironmentUnbuildable for a version that Penstock itself does not run on.
    """
    minor = minor_of(wanted)
    if not minor or minor == here.minor:
        return here
    check_new_enough(minor)
    fitting = [found for found in others() if found.minor == minor]
    return max(fitting, key=lambda found: (found.version == wanted, _numbers(found.version)), default=None)


def check_new_enough(minor: Sequence[int]) -> None:
    """Raises EnvironmentUnbuildable for a Python that Penstock's own code does not run on."""
    if tuple(minor) < OLDEST:
        raise EnvironmentUnbuildable(
            f"The package was made with Python {_dotted(minor)}; models run on {_dotted(OLDEST)} or newer.",
            hint="Package the model again, or try it with the libraries installed here.",
            remedy=remedy("local_environment"),
        )


def installed_interpreters(uv: Uv) -> list[Interpreter]:
    """What uv finds on this machine, on PATH and of its own. Raises EnvironmentUnbuildable."""
    listed = uv.run(
        ["python", "list", "--only-installed", "--output-format", "json"], "The installed Pythons cannot be listed"
    )
    found = json.loads(listed or "[]")
    return [
        Interpreter(Path(entry["path"]), entry["version"])
        for entry in found
        if entry.get("implementation") == "cpython" and entry.get("variant") == "default"
    ]


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(p) for p in version.split(".") if p.isdecimal())


def _dotted(version: Sequence[int]) -> str:
    return ".".join(map(str, version))
