"""An entry of the table of flavors: where a flavor lives, and how it is imported, made and checked when needed."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from operator import attrgetter
from typing import Any

from penstock.errors import FlavorUnknown
from penstock.flavors.interface import INTERFACE_VERSION, Flavor, FlavorOptions
from penstock.payload import kind_and_text


@dataclass(frozen=True, slots=True)
class FlavorEntry:
    """Where a flavor lives: its name, `module:attribute`, and the distribution that brings it."""

    name: str
    target: str
    distribution: str = "penstock"

    def __str__(self) -> str:
        return f"{self.name!r} of {self.distribution} ({self.target})"

    def make(self) -> Flavor:
        """Imports, makes and checks the flavor. Raises FlavorUnknown, which says what is wrong with it."""
        module, _, attribute = self.target.partition(":")
        try:
            flavor = attrgetter(attribute)(import_module(module))()
        except Exception as error:
            raise FlavorUnknown(
                f"The plug-in for flavor {self} cannot be loaded: {kind_and_text(error, 200)}.",
                hint=f"Reinstall or remove the distribution {self.distribution}.",
            ) from error
        if wrong := _wrong(flavor, self.name):
            raise FlavorUnknown(
                f"The plug-in for flavor {self} {wrong}.",
                hint=f"Install a release of {self.distribution} that fits this release of Penstock.",
            )
        return flavor  # type: ignore[no-any-return]


def _wrong(flavor: Any, name: str) -> str:
    """What keeps an object from being used as the flavor of this name; empty where nothing does."""
    if not isinstance(flavor, Flavor):
        return "gives no Flavor"
    version = getattr(flavor, "interface", None)
    if version is None:
        return f"does not state its interface; this release of Penstock has interface {INTERFACE_VERSION}"
    if version != INTERFACE_VERSION:
        return f"is written for interface {version!r}; this release of Penstock has interface {INTERFACE_VERSION}"
    if getattr(flavor, "name", None) != name:
        return f"gives a flavor of another name, {getattr(flavor, 'name', None)!r}"
    modules = flavor.loader_modules
    if not isinstance(modules, frozenset) or not all(isinstance(module, str) for module in modules):
        return "has loader_modules that are no frozenset of names"
    try:
        made = isinstance(flavor.options_type(), FlavorOptions)
    except Exception:
        made = False
    return "" if made else "has an options_type that is no FlavorOptions with a default for every field"
