"""A packaged model on disk: its manifest, its files, its seal, its examples, and whether it carries code."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from penstock.errors import ArtifactInvalid, CodeNotTrusted, EnvironmentMismatch, PenstockError, remedy
from penstock.flavors import CodeReason, Flavor, LoadContext, Predictor, choose_flavor
from penstock.flavors.code_path import add_code_of, code_directory, own_modules
from penstock.flavors.table import is_built_in
from penstock.manifest import Manifest
from penstock.package.environment import VersionComparison, compare
from penstock.package.example import Example, read_example
from penstock.package.seal import SEAL, check_seal, digest_of, hash_files, list_files
from penstock.payload import kind_and_text
from penstock.signature import shown_schema


@dataclass(frozen=True, repr=False)
class PackagedModel:
    """A directory with an MLmodel file. Opening reads the manifest alone; the rest happens when asked for."""

    path: Path
    manifest: Manifest

    @classmethod
    def open(cls, path: str | Path) -> PackagedModel:
        """Raises PackageNotFound, PackageInvalid."""
        path = Path(path).absolute()
        return cls(path, Manifest.read(path))

    def __repr__(self) -> str:
        """What a notebook shows of it: where it is, and what its user has to know to load it and to ask it."""
        try:
            kind = f"{self.flavor().name}, {'carries code' if self.code_reasons() else 'data-only'}"
        except (PenstockError, OSError):
            kind = f"{', '.join(map(str, self.manifest.flavors)) or 'no flavor'}, cannot be loaded"
        signature = self.manifest.signature
        takes, gives = (None, None) if signature is None else (signature.inputs, signature.outputs)
        return f"<PackagedModel {self.path} ({kind}) takes {shown_schema(takes)}, gives {shown_schema(gives)}>"

    @cached_property
    def hashes(self) -> dict[str, str]:
        """SHA-256 of every file by relative path, read once."""
        return hash_files(self.path)

    @cached_property
    def digest(self) -> str:
        """Names the content: 64 hex digits."""
        return digest_of(self.hashes)

    @property
    def sealed(self) -> bool:
        return (self.path / SEAL).exists()

    @property
    def size_bytes(self) -> int:
        return sum((self.path / name).stat().st_size for name in list_files(self.path))

    def verify(self) -> None:
        """Checks every file against the seal. Raises SealBroken, PackageInvalid."""
        check_seal(self.path, self.hashes)

    def flavor(self, override: str | None = None) -> Flavor:
        """The flavor that answers. Raises FlavorUnknown."""
        return choose_flavor(self.manifest, override)

    def code_reasons(self, flavor: str | None = None) -> list[CodeReason]:
        """Why loading would run the package's code; empty where it is data alone."""
        chosen = self.flavor(flavor)
        return [*chosen.code_reasons(self.path, self.manifest), *self._code_beside(chosen)]

    def _code_beside(self, chosen: Flavor) -> list[CodeReason]:
        """The modules of the package's author, where they are importable for a flavor that says nothing of them."""
        code = code_directory(self.manifest, chosen.name) if chosen.takes_code and not is_built_in(chosen) else None
        modules = own_modules(self.path / code) if code is not None else []
        return [CodeReason(f"{code}/", f"holds modules: {', '.join(modules)}")] if modules else []

    def process_reasons(self, flavor: str | None = None) -> list[str]:
        """Why a data-only package should run in a process of its own; empty where it may run in the gateway."""
        return self.flavor(flavor).process_reasons(self.path, self.manifest)

    def example(self) -> Example | None:
        """The recorded example, conformed. Raises PackageInvalid where it does not fit the signature."""
        return read_example(self.path, self.manifest)

    def environment(self, flavor: str | None = None) -> list[VersionComparison]:
        """The libraries whose version matters for the artifact, packaged against installed."""
        return compare(self.flavor(flavor).libraries(self.manifest))

    def check_environment(self, flavor: str | None = None) -> None:
        """Raises EnvironmentMismatch where a library that matters is of another minor version."""
        wrong = [c for c in self.environment(flavor) if c.differs]
        if wrong:
            found = ", ".join(f"{c.name} {c.packaged} (here {c.installed or 'not installed'})" for c in wrong)
            raise EnvironmentMismatch(
                f"The package {self.path.name} was made with {found}.",
                hint="Install that version.",
                remedy=remedy("allow_other_versions"),
            )

    def convertible(self, flavor: str | None = None) -> str:
        """What of it `convert` may make data-only, as "a scikit-learn pickle"; empty where that cannot help."""
        chosen = self.flavor(flavor)
        what = chosen.convertible(self.manifest)
        return "" if not what or chosen.unconvertible(self.path, self.manifest) else what

    def check_trust(self, flavor: str | None = None) -> None:
        """Raises CodeNotTrusted, which names the files, where loading would run the package's code."""
        if reasons := self.code_reasons(flavor):
            hint = "If you trust its author, set trust_code (PENSTOCK_TRUST_CODE=1)"
            what = self.convertible(flavor)
            raise CodeNotTrusted(
                f"Loading {self.path} would run code from the package: {'; '.join(map(str, reasons))}.",
                hint=f"{hint}; converting the package makes {what} data-only." if what else f"{hint}.",
                remedy=remedy("trust_code_or_convert", what=what, path=shlex.quote(str(self.path)))
                if what
                else remedy("trust_code"),
            )

    def load(self, *, trust_code: bool = False, flavor: str | None = None, threads: int = 0) -> Predictor:
        """The predictor, not yet proven. Raises CodeNotTrusted and what the flavor raises."""
        if not trust_code:
            self.check_trust(flavor)
        context = LoadContext(self.path, self.manifest, self.digest, trusted=trust_code, threads=threads)
        chosen = self.flavor(flavor)
        try:
            if chosen.takes_code:
                add_code_of(context, chosen.name)
            return chosen.load(context)
        except PenstockError:
            raise
        except Exception as error:  # a plug-in may have left its library's exceptions as they were
            raise ArtifactInvalid(
                f"The flavor {chosen.name!r} cannot load {chosen.artifact(self.manifest)}: {kind_and_text(error)}."
            ) from error
