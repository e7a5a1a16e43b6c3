"""Which flavor answers: for a name, for a package, for an object that is to be packaged.

The table has an entry for every built-in flavor and every plug-in. Listing the names imports nothing; a flavor is
imported, made and checked when it is first asked about. One rule settles every claim to a name, to a loader module, to
an object:

- Names and loader modules of built-in flavors are theirs. A plug-in that claims one is passed over.
- What no built-in flavor claims goes to the one plug-in that claims it. Where two do, neither is chosen: FlavorConflict
  names both. Objects are shown to plug-ins first, since they know the narrower kinds: a LightGBM classifier is a
  scikit-learn estimator, too.
- A plug-in that cannot be loaded claims nothing. It is an error for packages that have a section of its name, and a
  warning in the log otherwise.

A package answers as its python_function section says: a loader module that nobody claims is left to the python_function
flavor. Without that section the first flavor of the table that the package has a section of answers.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from penstock.error_text import text_of
from penstock.errors import FlavorConflict, FlavorUnknown, PackageError, PackagingFailed
from penstock.flavors.entry import FlavorEntry
from penstock.flavors.interface import Flavor
from penstock.manifest import PYTHON_FUNCTION, Manifest
from penstock.payload import clipped

GROUP = "penstock.flavors"

log = logging.getLogger("penstock.flavors")


# In order of preference.
BUILT_IN = (
    FlavorEntry("onnx", "penstock.flavors.onnx.flavor:OnnxFlavor"),
    FlavorEntry("sklearn", "penstock.flavors.sklearn.flavor:SklearnFlavor"),
    FlavorEntry(PYTHON_FUNCTION, "penstock.flavors.python.flavor:PyfuncFlavor"),
)


def is_built_in(flavor: Flavor) -> bool:
    return any(flavor.name == entry.name for entry in BUILT_IN)


class FlavorTable:
    """All flavors of a process, in order of preference: the built-in ones, then the plug-ins."""

    def __init__(self, built_in: Iterable[FlavorEntry], plug_ins: Iterable[FlavorEntry]) -> None:
        self._built_in = {entry.name: entry for entry in built_in}
        self._plug_ins: dict[str, list[FlavorEntry]] = {}
        for entry in plug_ins:
            if entry.name not in self._built_in:
                self._plug_ins.setdefault(entry.name, []).append(entry)
        # The whole mutable state: by name, the flavors made so far, and why others cannot be. Two threads may make the
        # same one; either will do.
        self._made: dict[str, Flavor] = {}
        self._failed: dict[str, PackageError] = {}

    def __repr__(self) -> str:
        loaded = ", ".join(self._made) or "none"
        return f"<FlavorTable {', '.join(self.names)}; loaded: {loaded}; failed: {', '.join(self._failed) or 'none'}>"

    @property
    def names(self) -> list[str]:
        return [*self._built_in, *self._plug_ins]

    @property
    def plug_ins(self) -> list[str]:
        return list(self._plug_ins)

    def get(self, name: str) -> Flavor:
        """The flavor of this name. Raises FlavorUnknown, FlavorConflict."""
        if (flavor := self._made.get(name)) is not None:
            return flavor
        if (failed := self._failed.get(name)) is not None:
            raise type(failed)(failed.message, hint=failed.hint)
        entries = [self._built_in[name]] if name in self._built_in else self._plug_ins.get(name, [])
        if not entries:
            raise FlavorUnknown(f"There is no flavor {name!r}.", hint=f"Known flavors: {', '.join(self.names)}.")
        try:
            flavor = self._made[name] = _only(entries).make()
        except PackageError as error:
            self._failed[name] = type(error)(error.message, hint=error.hint)  # without its frames
            raise
        return flavor

    def of_package(self, manifest: Manifest, override: str | None = None) -> Flavor:
        """The flavor that answers for a package. Raises FlavorUnknown, FlavorConflict."""
        settings = manifest.python_function
        loader = None if settings is None else str(settings.get("loader_module"))
        if override is not None:
            flavor = self.get(override)
            if override not in manifest.flavors and loader not in flavor.loader_modules:
                raise FlavorUnknown(
                    f"The package has no flavor {override!r}.",
                    hint=f"The package has the flavors: {_listed(manifest.flavors)}.",
                )
            return flavor
        if loader is not None:
            return self._of_loader(loader, manifest)
        for name in self.names:
            if name in manifest.flavors:
                return self.get(name)
        raise FlavorUnknown(
            f"Penstock cannot load any flavor of the package: {_listed(manifest.flavors)}.",
            hint=f"Known flavors: {', '.join(self.names)}. A plug-in may add one.",
        )

    def _of_loader(self, loader: str, manifest: Manifest) -> Flavor:
        # Those that the package has a section of come first: the others are then seldom imported.
        for name in sorted(self._built_in, key=lambda name: name not in manifest.flavors):
            if loader in self.get(name).loader_modules:
                return self.get(name)
        claims = [flavor for flavor in self._loaded_plug_ins() if loader in flavor.loader_modules]
        if len(claims) > 1:
            raise self._conflict(f"load packages of {loader!r}", claims)
        if claims:
            return claims[0]
        for name in self._failed:
            if name in manifest.flavors:
                return self.get(name)  # which raises
        return self.get(PYTHON_FUNCTION)

    def of_object(self, model: Any, override: str | None = None) -> Flavor:
        """The flavor that packages an object; a Path stands for the file. Raises PackagingFailed, FlavorConflict, and
        FlavorUnknown where there is no flavor of the name that was asked for."""
        if override is not None:
            flavor = self.get(override)
            if not flavor.accepts(model):
                raise PackagingFailed(f"The flavor {override!r} does not package {_described(model)}.")
            return flavor
        claims = [flavor for flavor in self._loaded_plug_ins() if _accepts(flavor, model)]
        if len(claims) > 1:
            raise self._conflict(f"package {_described(model)}", claims)
        if claims:
            return claims[0]
        for name in self._built_in:
            if self.get(name).accepts(model):
                return self.get(name)
        raise PackagingFailed(
            f"There is no flavor for {_described(model)}.",
            hint=" ".join(
                [
                    "Give a fitted scikit-learn estimator, an ONNX model, a Python file, or what a plug-in packages.",
                    *([f"Load what is in the file: joblib.load({str(model)!r})."] if isinstance(model, Path) else []),
                    *([_AS_FILE] if not isinstance(model, Path) and _predicts(model) else []),
                    *(error.message for error in self._failed.values()),
                ]
            ),
        )

    def _loaded_plug_ins(self) -> Iterator[Flavor]:
        """Every plug-in that can be loaded; of the others the log tells once."""
        for name in self._plug_ins:
            known = name in self._failed
            try:
                yield self.get(name)
            except PackageError as error:
                if not known:
                    log.warning("%s", error)

    def _conflict(self, claim: str, flavors: Sequence[Flavor]) -> FlavorConflict:
        entries = [str(entry) for flavor in flavors for entry in self._plug_ins[flavor.name]]
        return FlavorConflict(
            f"Several flavor plug-ins {claim}: {', '.join(entries)}.",
            hint="Name the flavor, or uninstall all but one of them.",
        )


def _only(entries: Sequence[FlavorEntry]) -> FlavorEntry:
    """The entry of a name. Raises FlavorConflict where distributions mean different things by it."""
    if len({entry.target for entry in entries}) > 1:
        raise FlavorConflict(
            f"Several flavor plug-ins have one name: {', '.join(map(str, entries))}.",
            hint="Uninstall all but one of them.",
        )
    return entries[0]


def _accepts(flavor: Flavor, model: Any) -> bool:
    """A plug-in that fails on an object does not accept it; other flavors may."""
    try:
        return flavor.accepts(model)
    except Exception as error:
        log.warning(
            "The flavor plug-in %r failed on %s: %s: %s",
            flavor.name,
            _described(model),
            type(error).__name__,
            clipped(text_of(error), 200),
        )
        return False


_AS_FILE = (
    "A function or a class is packaged as its file: in a notebook, write it in a cell that begins with %%writefile "
    "model.py, with the imports that it needs, and give 'model.py' instead of it."
)


def _predicts(model: Any) -> bool:
    return callable(model) or hasattr(model, "predict")


def _described(model: Any) -> str:
    if isinstance(model, Path):
        return f"the {'directory' if model.is_dir() else 'file'} {model}"
    return f"a {type(model).__module__}.{type(model).__qualname__}"


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(map(str, names))) or "none"


@cache
def installed_flavors() -> FlavorTable:
    """The built-in flavors, and the plug-ins that installed distributions declare."""
    from importlib.metadata import entry_points  # takes longer to import than all of this file

    points = entry_points(group=GROUP)
    return FlavorTable(
        BUILT_IN, [FlavorEntry(p.name, p.value, p.dist.name if p.dist else "an unknown distribution") for p in points]
    )


def known_flavors() -> list[str]:
    """Names of the built-in flavors and of the installed plug-ins."""
    return installed_flavors().names


def plug_in_flavors() -> list[str]:
    """Names of the installed plug-ins."""
    return installed_flavors().plug_ins


def get_flavor(name: str) -> Flavor:
    """Raises FlavorUnknown, FlavorConflict."""
    return installed_flavors().get(name)


def choose_flavor(manifest: Manifest, override: str | None = None) -> Flavor:
    """The flavor that answers for a package. Raises FlavorUnknown, FlavorConflict."""
    return installed_flavors().of_package(manifest, override)


def flavor_for(model: Any, override: str | None = None) -> Flavor:
    """The flavor that packages an object. Raises PackagingFailed, FlavorConflict, FlavorUnknown."""
    return installed_flavors().of_object(model, override)
