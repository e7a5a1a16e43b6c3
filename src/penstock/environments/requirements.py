"""What a package asks for: its requirement files read, and each line judged.

A package may say which distributions it needs, in which versions. Where they come from, the operator says: lines that
name an index, a directory or an address are not followed.

What may be installed depends on trust. The code of a trusted package runs anyway, so all that it lists is installed. A
data-only package runs no code of its own, but a distribution that it names would: a wheel runs code as soon as Python
starts with it. So of those only libraries that the flavors of Penstock themselves use are installed, in the one version
that the package names, from wheels.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from penstock.environments.locked import LOCK, Lock, parse_lock
from penstock.errors import PackageInvalid, remedy
from penstock.manifest import PYTHON_FUNCTION, read_yaml
from penstock.package import PackagedModel
from penstock.package.environment import REQUIREMENTS, canonical
from penstock.package_file import MIB, read_package_file
from penstock.payload import shortened

PYTHON_ENV = "python_env.yaml"
CONDA = "conda.yaml"

# What the program that runs a model imports beside the flavor's libraries; whatever version comes, from LEAST on.
HOST_NEEDS = ("numpy", "orjson", "pyyaml")
LEAST = ("numpy>=2",)
# What a data-only package may have without anybody's trust.
REVIEWED = frozenset(
    {
        "cloudpickle",
        "joblib",
        "narwhals",
        "numpy",
        "onnx",
        "onnxruntime",
        "onnxruntime-gpu",
        "orjson",
        "pandas",
        "pyarrow",
        "pyyaml",
        "scikit-learn",
        "scipy",
        "skops",
        "threadpoolctl",
    }
)
# MLflow lists itself in every package. Where Penstock loads the artifact itself, it is never imported.
_MLFLOW = frozenset({"mlflow", "mlflow-skinny", "mlflow-tracing"})
_TOOLS = frozenset({"pip", "setuptools", "wheel"})

# Hashes take room: a line for each file of each distribution.
_LOCK_LIMIT = 8 * MIB
_MOST_FILES = 20
_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?")
_VERSIONS = r"\(?(?:\s*(?:===|==|~=|!=|<=|>=|<|>)\s*[A-Za-z0-9.*+_-]+\s*,?)*\s*\)?"
_LINE = re.compile(rf"({_NAME.pattern})\s*(?:\[[A-Za-z0-9._,\s-]*\])?({_VERSIONS})\s*(;[\w\s.'\"<>=!~()+,*-]*)?")
_PLAIN_PIN = re.compile(rf"{_NAME.pattern}\s*(?:\[[^\]]*\])?\s*\(?\s*==\s*[A-Za-z0-9.!+_-]+\s*\)?\s*(?:;|--hash|$)")
_HASH = re.compile(r"sha256:[0-9a-f]{64}")
_LONGEST = 500
# Options that say where distributions come from or which of them to prefer, with a value or without.
_SOURCES = (
    "-i",
    "--index-url",
    "--extra-index-url",
    "--no-index",
    "-f",
    "--find-links",
    "--trusted-host",
    "--pre",
    "--prefer-binary",
    "--no-binary",
    "--only-binary",
    "--use-feature",
    "--require-hashes",
)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to install for a package, in uv's words, and what was left out of what it lists, in ours.

    `listed` are those of the requirements that the package names itself. `python` is the version that it was made with,
    empty where it does not say. `wheels_only` says that nothing may be built: building runs code of whoever made the
    distribution.
    """

    requirements: tuple[str, ...]
    listed: tuple[str, ...] = ()
    constraints: tuple[str, ...] = ()
    python: str = ""
    lock: Lock | None = None
    wheels_only: bool = True
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Line:
    name: str
    text: str

    @property
    def is_pin(self) -> bool:
        """Whether it names one version, so that nobody who adds a newer one to an index decides what is installed."""
        return _PLAIN_PIN.match(self.text) is not None


def read_wanted(package: PackagedModel, *, trust_code: bool, flavor: str | None = None, mlflow: bool = True) -> Wanted:
    """What a package's files ask for, as far as they may. `mlflow` is whether MLflow itself is of use, where the model
    may import it. Raises PackageInvalid, FlavorUnknown."""
    chosen = package.flavor(flavor)
    reader = _Reader(package.path)
    lines, python = reader.listed(package)
    kept: list[_Line] = []
    left_out = list(reader.left_out)
    for line in lines:
        if not mlflow and line.name in _MLFLOW:
            left_out.append(f"{line.name} is not installed: Penstock replaces it")
        elif reason := _unwanted(line, chosen.name, package, trust_code=trust_code):
            left_out.append(f"{line.name} {reason}")
        else:
            kept.append(line)
    listed = tuple(line.text for line in kept)
    names = {line.name for line in kept}
    for name, version in chosen.libraries(package.manifest).items():
        if name not in names:
            kept.append(_Line(name, f"{name}=={version}"))
            names.add(name)
    needs = sorted({*HOST_NEEDS, *chosen.distributions} - names)
    return Wanted(
        requirements=(*(line.text for line in kept), *needs),
        listed=listed,
        constraints=(*LEAST, *(line.text for line in reader.constraints if trust_code or line.is_pin)),
        python=python,
        lock=read_lock(package.path),
        wheels_only=not trust_code,
        left_out=tuple(left_out),
    )


def _unwanted(line: _Line, flavor: str, package: PackagedModel, *, trust_code: bool) -> str:
    """Why a listed distribution is left out; empty where it is wanted."""
    name = line.name
    if name in _TOOLS:
        return "is only needed for building"
    native = flavor != PYTHON_FUNCTION and not any(
        settings.get("code") for settings in package.manifest.flavors.values()
    )
    if name in _MLFLOW and native:
        return "is not installed: Penstock loads this kind of model itself"
    if not trust_code and name not in REVIEWED:
        return "would run unreviewed code, which needs trust_code"
    if not trust_code and not line.is_pin:
        return f"is listed as {shortened(line.text)}, not as {name}==VERSION, which needs trust_code"
    return ""


class _Reader:
    """Reads a package's requirement files, and notes what it does not follow."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        # The whole mutable state: what came to light, and the files that were read.
        self.constraints: list[_Line] = []
        self.left_out: list[str] = []
        self._read: set[str] = set()

    def listed(self, package: PackagedModel) -> tuple[list[_Line], str]:
        """The requirements, and the Python version: python_env.yaml first, as in MLflow, then requirements.txt, then
        conda.yaml's part for pip."""
        env = self._yaml(PYTHON_ENV)
        conda = self._yaml(CONDA)
        python = _text(env.get("python")) or _conda_python(conda)
        python = python or _text((package.manifest.python_function or {}).get("python_version"))
        if isinstance(listed := env.get("dependencies"), list):
            return list(self._lines(map(str, listed), PYTHON_ENV)), python
        if (self._directory / REQUIREMENTS).exists():
            return list(self._file(REQUIREMENTS)), python
        return list(self._lines(self._pip_part(conda), CONDA)), python

    def _yaml(self, name: str) -> Mapping[str, Any]:
        if not (self._directory / name).exists():
            return {}
        content = read_yaml(self._content(name).encode(), f"package's {name}")
        return content if isinstance(content, Mapping) else {}

    def _pip_part(self, conda: Mapping[str, Any]) -> Iterator[str]:
        listed = conda.get("dependencies")
        for entry in listed if isinstance(listed, list) else ():
            if isinstance(entry, Mapping) and isinstance(part := entry.get("pip"), list):
                yield from map(str, part)
            elif isinstance(entry, str) and not re.match(r"(?:[\w-]+::)?(python|pip|setuptools|wheel)\b", entry):
                self.left_out.append(f"{shortened(entry)} is a conda package")

    def _file(self, name: str, *, constraints: bool = False) -> Iterator[_Line]:
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts or not (self._directory / name).is_file():
            raise PackageInvalid(
                f"The package's requirements refer to a file that is not in the package: {shortened(name)}."
            )
        if name in self._read:
            return
        if len(self._read) >= _MOST_FILES:
            raise PackageInvalid(f"The package's requirements refer to more than {_MOST_FILES} files.")
        self._read.add(name)
        yield from self._lines(self._content(name).splitlines(), name, constraints=constraints)

    def _content(self, name: str) -> str:
        try:
            return read_package_file(self._directory / name).decode("utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            raise PackageInvalid(f"The package's {name} cannot be read: {error}.") from None

    def _lines(self, texts: Iterable[str], file: str, *, constraints: bool = False) -> Iterator[_Line]:
        for number, text in joined(texts):
            if text.startswith("-"):
                yield from self._option(text, file, number)
            elif constraints:
                self.constraints.append(_requirement(text, file, number))
            else:
                yield _requirement(text, file, number)

    def _option(self, text: str, file: str, number: int) -> Iterator[_Line]:
        option, value = _split_option(text)
        folder = PurePosixPath(file).parent
        if option in ("-r", "--requirement"):
            yield from self._file(str(folder / value))
        elif option in ("-c", "--constraint"):
            yield from self._file(str(folder / value), constraints=True)
        elif option in _SOURCES:
            self.left_out.append(
                f"{option} in {file}: ignored, since this machine decides where distributions come from"
            )
        else:
            raise PackageInvalid(
                f"The package's {file} has an unsupported entry in line {number}: {shortened(text)}.",
                hint=_HINT,
                remedy=remedy("requirement"),
            )


_HINT = (
    "A requirement must be a name with versions. Put wheels of other distributions on your own index, or into the "
    "directory in the setting wheels."
)


def joined(texts: Iterable[str]) -> Iterator[tuple[int, str]]:
    """The lines that say something, with their numbers from 1: comments gone, broken lines put together."""
    open_line, began = "", 0
    for number, text in enumerate(texts, 1):
        began = began if open_line else number
        line = open_line + text.strip()
        if line.endswith("\\"):
            open_line = line[:-1].rstrip() + " "
            continue
        open_line = ""
        line = re.sub(r"(^|\s)#.*$", "", line).strip()
        if line:
            yield began, line
    if open_line.strip():
        yield began, open_line.strip()


def _requirement(text: str, file: str, number: int) -> _Line:
    text = " ".join(text.split())  # an entry of YAML may hold ends of lines, and what is installed is read by lines
    head, *hashes = text.replace(" --hash ", " --hash=").split(" --hash=")
    found = _LINE.fullmatch(head) if len(head) <= _LONGEST else None
    if found is None or " -" in (found[3] or "") or not all(map(_HASH.fullmatch, hashes)):  # an option after a marker
        raise PackageInvalid(
            f"The package's {file} has an invalid requirement in line {number}: {shortened(text)}.",
            hint=_HINT,
            remedy=remedy("requirement"),
        )
    return _Line(canonical(found[1]), text)


def _split_option(text: str) -> tuple[str, str]:
    found = re.match(r"(--[a-z-]+)(?:[=\s]\s*(.*))?$|(-[a-z])\s*(.*)$", text)
    if found is None:
        return text, ""
    return (found[1] or found[3]), (found[2] or found[4] or "").strip()


def _text(value: object) -> str:
    """A version as a manifest has it. `python: 3.10` without quotes reads as a number, 3.1, which nobody means."""
    return value.strip() if isinstance(value, str) else ""


def _conda_python(conda: Mapping[str, Any]) -> str:
    listed = conda.get("dependencies")
    for entry in listed if isinstance(listed, list) else ():
        if isinstance(entry, str) and (found := re.fullmatch(r"(?:[\w-]+::)?python\s*={1,2}\s*([\d.]+)\S*", entry)):
            return found[1].rstrip(".")
    return ""


def read_lock(directory: Path) -> Lock | None:
    """The lock in a package; None where it has none. Raises PackageInvalid."""
    path = directory / LOCK
    if not path.exists():
        return None
    try:
        return parse_lock(read_package_file(path, _LOCK_LIMIT).decode())
    except (OSError, UnicodeDecodeError) as error:
        raise PackageInvalid(f"The package's {LOCK} cannot be read: {error}.") from None
