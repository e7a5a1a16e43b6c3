"""The environment a package was made in, written down and compared with the one here."""

from __future__ import annotations

import platform
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import yaml

from penstock.package_file import read_package_file

REQUIREMENTS = "requirements.txt"

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_PIN = re.compile(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)\s*==\s*([^\s;#]+)")


@dataclass(frozen=True, slots=True)
class VersionComparison:
    """One library: the version the package was made with, and the one installed here (None where it is not)."""

    name: str
    packaged: str
    installed: str | None

    @property
    def differs(self) -> bool:
        """Whether the minor versions differ: libraries keep their stored formats within one."""
        return self.installed is None or _minor(self.installed) != _minor(self.packaged)


def _minor(text: str) -> tuple[str, ...]:
    return tuple(text.split(".")[:2])


def installed_version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def compare(packaged: Mapping[str, str]) -> list[VersionComparison]:
    """Each library's packaged version beside the installed one."""
    return [VersionComparison(name, wanted, installed_version(name)) for name, wanted in packaged.items()]


def read_pins(directory: Path) -> dict[str, str]:
    """The `name==version` lines of the package's requirements.txt, other lines left aside. Raises PackageInvalid."""
    lines = read_requirement_lines(directory)
    return {found[1]: found[2] for line in lines if (found := _PIN.match(line))}


def read_requirement_lines(directory: Path) -> list[str]:
    """The package's requirements.txt, line by line; empty where it has none. Raises PackageInvalid."""
    path = directory / REQUIREMENTS
    return read_package_file(path).decode(errors="replace").splitlines() if path.exists() else []


def merged(found: Iterable[str], given: Iterable[str]) -> list[str]:
    """Requirements, each distribution once: what was given counts before what was found, the first before a later."""
    wanted = list(given)
    named = {_named(line) for line in wanted}
    first: dict[str, str] = {}
    for line in found:
        first.setdefault(_named(line), line)
    return [*(line for name, line in first.items() if name not in named), *wanted]


def _named(line: str) -> str:
    found = _NAME.match(line.strip())
    return canonical(found[0]) if found else line


def canonical(name: str) -> str:
    """A distribution's name in the one form that compares. Source: PyPA, Names and normalization."""
    return re.sub(r"[-_.]+", "-", name).lower()


def write_environment(directory: Path, requirements: Sequence[str]) -> dict[str, Any]:
    """Writes requirements.txt, python_env.yaml and conda.yaml as MLflow does; returns the flavor's `env` entry."""
    python = platform.python_version()
    (directory / REQUIREMENTS).write_text("".join(f"{line}\n" for line in requirements), encoding="utf-8")
    build = [f"pip=={pip}"] if (pip := installed_version("pip")) else []
    _write_yaml(
        directory / "python_env.yaml",
        {"python": python, "build_dependencies": build, "dependencies": [f"-r {REQUIREMENTS}"]},
    )
    _write_yaml(
        directory / "conda.yaml",
        {
            "name": "penstock-env",
            "channels": ["conda-forge"],
            "dependencies": [f"python={python}", "pip", {"pip": list(requirements)}],
        },
    )
    return {"conda": "conda.yaml", "virtualenv": "python_env.yaml"}


def _write_yaml(path: Path, content: dict[str, Any]) -> None:
    path.write_text(yaml.safe_dump(content, default_flow_style=False, sort_keys=False), encoding="utf-8")
