"""What a flavor is: how one kind of artifact is written, judged and loaded; and what it loads into.

A flavor knows directories and payloads, no HTTP and no registry. Its libraries are imported when it is used, so that
a server of ONNX models never pays for scikit-learn.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar, final

from penstock.errors import DependencyMissing, PackageInvalid, PenstockError, PredictError
from penstock.manifest import Manifest
from penstock.payload import Params, Payload, clipped, shortened


class Predictor(ABC):
    """Loaded model code: payload in, payload out. May be called from several threads at once.

    `joinable` says that rows of several callers may be predicted together, as far as the flavor can tell; loading
    proves it. `quick` says that it never waits for anything but the processor, so that small batches may
    run on the event loop itself. `takes_frames` says that tables reach it as pandas frames. `parallel` says that
    several threads really predict at once, with the interpreter released; `apart`, that each of them does so in a
    process of its own, which has to be started. `cyclic` says that its objects may point at each other in circles, so
    that closing it leaves work to the garbage collector.
    """

    joinable: bool = True
    quick: bool = False
    takes_frames: bool = True
    parallel: bool = False
    apart: bool = False
    cyclic: bool = True

    @final
    def predict(self, payload: Payload, params: Params) -> Payload:
        """Raises PredictError with the model's own exception as its cause."""
        try:
            return self._predict(payload, params)
        except PenstockError:
            raise
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # sys.exit() in a model must not end the server
            raise PredictError(f"The model failed: {type(error).__name__}: {clipped(str(error), 500)}.") from error

    @abstractmethod
    def _predict(self, payload: Payload, params: Params) -> Payload: ...

    def close(self) -> None:  # noqa: B027  (most hold nothing)
        """Releases what the model holds. It is not called again."""


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
class Written:
    """What a flavor wrote: its sections of the manifest, and the libraries that loading needs."""

    flavors: Mapping[str, Mapping[str, Any]]
    requirements: tuple[str, ...] = ()
    batchable: bool = False


class Flavor(ABC):
    """One kind of artifact. Plug-ins register a subclass in the entry point group `penstock.flavors`."""

    name: ClassVar[str]

    @abstractmethod
    def artifact(self, manifest: Manifest) -> str:
        """The model file, relative to the package. Raises PackageInvalid where the manifest does not say."""

    @abstractmethod
    def code_reasons(self, directory: Path, manifest: Manifest) -> list[CodeReason]:
        """Why loading this package would run code of its own; empty for a data-only package."""

    def remedy(self, manifest: Manifest) -> str:
        """What would help a package that carries code besides trust, as the end of a sentence; empty where nothing."""
        return ""

    @abstractmethod
    def load(self, context: LoadContext) -> Predictor:
        """Raises ArtifactInvalid, CodeNotTrusted, CodeConflict, DependencyMissing, PackageInvalid."""

    def libraries(self, manifest: Manifest) -> Mapping[str, str]:
        """Distributions whose minor version matters for the artifact, and the version it was written with."""
        return {}


def inside(directory: Path, relative: object, what: str) -> Path:
    """The path of a file that a manifest names, which must lie in the package. Raises PackageInvalid."""
    if not isinstance(relative, str) or not relative:
        raise PackageInvalid(f"The manifest names no {what}.")
    path = directory / relative
    try:
        if not path.resolve().is_relative_to(directory.resolve()):
            raise PackageInvalid(f"The manifest's {what}, {shortened(relative)}, lies outside the package.")
        found = path.exists()
    except (OSError, ValueError):  # too long for a name, or with a NUL in it
        found = False
    if not found:
        raise PackageInvalid(f"The {what} that the manifest names, {shortened(relative)}, is not in the package.")
    return path


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
