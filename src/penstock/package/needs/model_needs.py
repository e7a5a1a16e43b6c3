"""What a model needs beside its own files: distributions, as requirements, and modules of its author's own.

Known from what it asked for while it was tried (`import_record`) and from what its sources say (`source_imports`).
"""

from __future__ import annotations

import logging
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import Distribution
from pathlib import Path

from penstock.errors import PackagingFailed, remedy
from penstock.flavors.code_path import CODE, LOADERS, module_places
from penstock.flavors.missing_code import SCRIPT
from penstock.package.environment import canonical
from penstock.package.needs.import_record import SeenImport
from penstock.package.needs.module_origin import ModuleSource, Origin, declared_needs, local_source, origin_of
from penstock.package.needs.own_files import own_place, with_imported, written
from penstock.package.needs.source_imports import imports_of
from penstock.payload import some

log = logging.getLogger("penstock.package")

# The modules that Python files of packages are run as.
_RUN_AS = "penstock_model_"


@dataclass(slots=True)
class Needs:
    """`distributions` by their name in one form, `own` modules by name with the file or folder of each; `script` is
    whether something refers to the script that wrote it."""

    distributions: dict[str, Distribution] = field(default_factory=dict)
    own: dict[str, Path] = field(default_factory=dict)
    script: bool = False

    def requirements(self) -> tuple[str, ...]:
        """`name==version`, sorted. A version's local part is left out: no index has it."""
        return tuple(f"{one.name}=={one.version.partition('+')[0]}" for _, one in sorted(self.distributions.items()))

    def check(self, near: Sequence[Path]) -> None:
        """Raises PackagingFailed where the package lacks modules that are somebody's own, and offers them."""
        if self.script:
            raise PackagingFailed(
                "The model's files refer to the script or notebook that wrote them (__main__), which no other program "
                "has.",
                hint="Define what they refer to in a module of its own, import it from there where they are written, "
                "and give that module as code=[…].",
            )
        if self.own:
            raise lacks_code(with_imported(self.own, near))
        for one in self.distributions.values():
            if (source := local_source(one)) and canonical(one.name) != "penstock":
                log.warning(
                    "The model needs %s %s, which is installed here from %s. The package lists %s==%s, which others "
                    "can only install from an index or a directory of wheels that has it; or give its modules as the "
                    "package's code.",
                    one.name,
                    one.version,
                    source,
                    one.name,
                    one.version.partition("+")[0],
                )


def lacks_code(own: Mapping[str, Path]) -> PackagingFailed:
    """The refusal that names somebody's own modules, and how to take them along."""
    paths = [written(place) for place in own.values()]
    many = len(own) > 1
    return PackagingFailed(
        f"The model needs the module{'s' if many else ''} {some(own)}, which {'are' if many else 'is'} not installed: "
        f"{'files' if many else 'a file'} of your own, {some(paths)}.",
        hint=f"To take {'them' if many else 'it'} along, give code={paths!r}.",
        remedy=remedy("add_code", code=shlex.join(paths), them="them" if many else "it"),
    )


def needs_of(directory: Path, seen: Iterable[SeenImport], near: Sequence[Path]) -> Needs:
    """What the package in `directory` needs, beside what is in it. `near` are folders where its author's modules may
    be. Raises PackagingFailed for a source that is not Python."""
    packaged = module_places(directory / CODE)
    kinds: dict[str, ModuleSource] = {}
    asked: set[str] = set()
    later: set[str] = set()
    for one in seen:
        importer = one.importer.partition(".")[0]
        if importer == "penstock":
            continue
        if _is_own(importer, packaged, kinds):
            asked.add(one.module)
        elif not one.at_import:
            later.add(one.module)
    found = Needs(own=absent_of_sources(directory, near), script=SCRIPT in asked)
    for module in sorted((asked | imports_of(_sources(directory))) - {SCRIPT}):
        _add(found, module, packaged, origin_of(module))
    _add_undeclared(found, sorted(later), packaged)
    return found


def absent_of_sources(directory: Path, near: Sequence[Path]) -> dict[str, Path]:
    """The modules, by name, that a package's sources import and that neither it nor this process has, but a folder near
    them. Raises PackagingFailed for a source that is not Python."""
    packaged = module_places(directory / CODE)
    found: dict[str, Path] = {}
    for module in sorted(imports_of(_sources(directory))):
        top = module.partition(".")[0]
        absent = top not in packaged and origin_of(module).source is ModuleSource.ABSENT
        if absent and (place := own_place(module, near)) is not None:
            found[top] = place
    return found


def _is_own(importer: str, packaged: Mapping[str, Path], kinds: dict[str, ModuleSource]) -> bool:
    """Whether what asked is no library: a pickle, the package's own code, or somebody's own."""
    if not importer or importer == SCRIPT or importer in packaged or importer.startswith(_RUN_AS):
        return True
    if importer not in kinds:
        kinds[importer] = origin_of(importer).source
    return kinds[importer] is ModuleSource.OWN


def _sources(directory: Path) -> list[Path]:
    """The Python files of a package, without the loaders that are Penstock's."""
    found = [*directory.glob("*.py"), *(directory / CODE).rglob("*.py")]
    return [file for file in found if not (file.parent.name == CODE and file.stem in LOADERS)]


def _add(found: Needs, module: str, packaged: Mapping[str, Path], origin: Origin) -> None:
    top = module.partition(".")[0]
    if top in packaged or top.startswith(_RUN_AS):
        return
    if (
        origin.source is ModuleSource.OWN
        and not origin.distributions
        and origin.place is not None
        and top != "penstock"
    ):
        found.own[top] = origin.place
    for one in origin.distributions:
        found.distributions[canonical(one.name)] = one


def _add_undeclared(found: Needs, modules: Iterable[str], packaged: Mapping[str, Path]) -> None:
    """What libraries imported inside functions and do not declare, as pandas its readers of Parquet. What one of those
    that are needed declares, comes with it."""
    declared: set[str] = set()
    waiting = list(found.distributions)
    while waiting:
        name = waiting.pop()
        if name not in declared:
            declared.add(name)
            waiting += declared_needs(name)
    for module in modules:
        origin = origin_of(module)
        if origin.source is ModuleSource.INSTALLED and all(
            canonical(one.name) not in declared for one in origin.distributions
        ):
            _add(found, module, packaged, origin)
