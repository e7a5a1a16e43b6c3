"""What a flavor is: one object that recognises, writes, judges and loads one kind of artifact.

A flavor knows directories and payloads, no HTTP and no registry. Its libraries are imported when it is used, so that
a server of ONNX models never pays for scikit-learn. `docs/flavors.md` says how to write one as a plug-in.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

from penstock.errors import DependencyMissing, PackageInvalid, PackagingFailed
from penstock.flavors.predictor import Predictor
from penstock.manifest import Manifest
from penstock.payload import Payload, shortened

# Raised when a plug-in that was written against the interface below would no longer work.
INTERFACE_VERSION = 1


@dataclass(frozen=True, slots=True)
class CodeReason:
    """Why loading a package runs code of its own: the file (relative to the package) and the reason in words."""

    file: str
    reason: str

    def __str__(self) -> str:
        return f"{self.file} {self.reason}"


@dataclass(frozen=True, slots=True)
class LoadContext:
    """What a flavor gets to load a package. `trusted` is whether its code may run; `digest` names the package."""

    directory: Path
    manifest: Manifest
    digest: str = ""
    trusted: bool = False
    threads: int = 0
    config: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class FlavorOptions:
    """How a flavor writes. A flavor with a choice has a frozen dataclass of its own, each field with a default; the
    fields are keywords of `penstock.save_model`."""


@dataclass(frozen=True, slots=True)
class Written:
    """What a flavor wrote: its sections of the manifest, and the libraries that loading needs. `batchable` says that
    a row's answer depends on that row alone."""

    flavors: Mapping[str, Mapping[str, Any]]
    requirements: tuple[str, ...] = ()
    batchable: bool = False


class Flavor(ABC):
    """One kind of artifact. Flavors are declared in the entry point group `penstock.flavors` and made once, without
    arguments, when one is first needed; their methods may be called from several threads.

    `interface` is the INTERFACE_VERSION it was written for, stated by every flavor itself. `loader_modules` are the
    loader modules of a package's python_function section that it answers for, so that packages which MLflow saved
    reach it. `options_type` holds its options. `distributions` are what loading and predicting import, for an
    environment made for the package. `data_only_form` names what `convert` writes, if it writes anything. `row_by_row`
    says that every model of this flavor answers once for each row: one that does not is refused when it is packaged.
    `takes_code` says that a package may have Python modules of its author's own: `load` then finds them importable, and
    such a package carries code, whatever else is in it.
    """

    interface: ClassVar[int]
    name: ClassVar[str]
    loader_modules: ClassVar[frozenset[str]] = frozenset()
    options_type: ClassVar[type[FlavorOptions]] = FlavorOptions
    distributions: ClassVar[tuple[str, ...]] = ()
    data_only_form: ClassVar[str] = ""
    row_by_row: ClassVar[bool] = False
    takes_code: ClassVar[bool] = True

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}: {', '.join(sorted(self.loader_modules)) or 'no loader modules'}>"

    # Packages that exist.

    @abstractmethod
    def artifact(self, manifest: Manifest) -> str:
        """The model file, relative to the package. Raises PackageInvalid where the manifest does not say."""

    @abstractmethod
    def code_reasons(self, directory: Path, manifest: Manifest) -> list[CodeReason]:
        """Why loading this package would run code of its own; empty for a data-only package."""

    def process_reasons(self, directory: Path, manifest: Manifest) -> list[str]:
        """Why a data-only package should run in a process of its own all the same; empty where a row's cost is bounded
        and the arrays are checked, so that it may run in the gateway. A flavor that says nothing promises neither."""
        return [f"the flavor {self.name!r} states no bound of what a row costs"]

    def convertible(self, manifest: Manifest) -> str:
        """What in a code-carrying package `convert` could make data-only, as "a scikit-learn pickle"; empty where
        nothing."""
        return ""

    def unconvertible(self, directory: Path, manifest: Manifest) -> str:
        """Why `convert` could not make this package data-only, as far as can be said without loading it, as "it holds
        'mine.Scaler'"; empty where it may."""
        return ""

    @abstractmethod
    def load(self, context: LoadContext) -> Predictor:
        """Raises ArtifactInvalid, CodeNotTrusted, CodeConflict, DependencyMissing, PackageInvalid."""

    def preload(self) -> None:
        """Imports what loading most packages imports, and starts no thread: for a process from which others are forked
        that load one."""
        return

    def libraries(self, manifest: Manifest) -> Mapping[str, str]:
        """Distributions whose minor version matters for the artifact, and the version it was written with."""
        return {}

    # Packages in the making.

    def accepts(self, model: Any) -> bool:
        """Whether this flavor packages such an object; a Path is a file or directory that exists. It imports nothing
        heavy and raises nothing: objects of every kind come by."""
        return False

    def read(self, path: Path) -> Any:
        """What to package of a user's own file, for the command line: the path itself, or an object read from it.

        Raises ArtifactInvalid, PackagingFailed.
        """
        return path

    def write(self, model: Any, directory: Path, options: Any, example: Payload | None = None) -> Written:
        """Writes what `accepts` accepted into a new directory. `options` is an `options_type`; `example` is what
        callers will send, where one was given. Raises PackagingFailed, ArtifactInvalid, DependencyMissing."""
        raise PackagingFailed(f"The flavor {self.name!r} loads packages but cannot write them.")

    def answer_at_hand(self, model: Any, rows: Any, options: Any) -> Any:
        """What the model itself answers to rows as its author has them, in the form that its package would give; None
        where it cannot be asked. It may raise whatever the model raises."""
        return None

    def convert(self, loaded: Predictor, directory: Path, manifest: Manifest) -> Written:
        """Writes a model that was loaded from a code-carrying package as data alone. `manifest` is the package's,
        without code directories; what is returned replaces its sections. Raises PackagingFailed."""
        raise PackagingFailed(f"The flavor {self.name!r} has no data-only form to convert to.")


def inside(directory: Path, relative: object, what: str) -> Path:
    """The path of a file or directory that a manifest names, which must lie in the package. Raises PackageInvalid."""
    if not isinstance(relative, str) or not relative:
        raise PackageInvalid(f"The manifest names no {what}.")
    path = directory / posix(relative)
    try:
        if _DRIVE.match(relative) or not path.resolve().is_relative_to(directory.resolve()):
            raise PackageInvalid(f"The manifest's {what}, {shortened(relative)}, lies outside the package.")
        found = path.exists()
        regular = path.is_file() or path.is_dir()
    except (OSError, ValueError):  # too long for a name, or with a NUL in it
        found = regular = False
    if not found:
        raise PackageInvalid(f"The {what} that the manifest names, {shortened(relative)}, is not in the package.")
    if not regular:
        raise PackageInvalid(f"The {what} that the manifest names, {shortened(relative)}, is not a regular file.")
    return path


# A path of Windows that begins at a drive names a place there, and none in a package.
_DRIVE = re.compile(r"[A-Za-z]:")


def posix(relative: str) -> str:
    """A path in a package as it is written here: MLflow on Windows writes `artifacts\\file`. No file of a package has a
    backslash in its name."""
    return relative.replace("\\", "/")


def need(module: str, extra: str, *, purpose: str) -> ModuleType:
    """Imports a library that is an extra. Raises DependencyMissing, which names what to install."""
    from importlib import import_module

    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not module.startswith(error.name):
            raise
        raise DependencyMissing(
            f"{purpose} needs {module.split('.')[0]}, which is not installed.",
            hint=f"Install it with: pip install 'penstock[{extra}]'",
        ) from None
