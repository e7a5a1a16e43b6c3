"""The flavor registry: which flavor answers for a package.

A package answers as its python_function flavor says: where that names MLflow's sklearn or onnx loader, the artifact is
loaded natively by ours. Without a python_function flavor: onnx, sklearn, then plug-ins.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points

from penstock.errors import FlavorUnknown
from penstock.flavors.interface import CodeReason, Flavor, LoadContext, Predictor, Written
from penstock.manifest import PYTHON_FUNCTION, Manifest
from penstock.payload import clipped

__all__ = [
    "CodeReason",
    "Flavor",
    "LoadContext",
    "Predictor",
    "Written",
    "choose_flavor",
    "get_flavor",
    "known_flavors",
]

# Name -> where it lives; imported when asked for. The order is the order of preference.
_TABLE = {
    "onnx": "penstock.flavors.onnx:OnnxFlavor",
    "sklearn": "penstock.flavors.sklearn.flavor:SklearnFlavor",
    PYTHON_FUNCTION: "penstock.flavors.python.flavor:PyfuncFlavor",
}
_NATIVE_LOADERS = {"mlflow.onnx": "onnx", "mlflow.sklearn": "sklearn"}


def known_flavors() -> list[str]:
    """Names of the built-in flavors and of the installed plug-ins."""
    return [*_TABLE, *(name for name in _plugins() if name not in _TABLE)]


@cache
def get_flavor(name: str) -> Flavor:
    """Raises FlavorUnknown."""
    target = _TABLE.get(name) or _plugins().get(name)
    if target is None:
        raise FlavorUnknown(f"There is no flavor {name!r}.", hint=f"Known flavors: {', '.join(known_flavors())}.")
    module, _, attribute = target.partition(":")
    if name in _TABLE:
        return getattr(import_module(module), attribute)()  # type: ignore[no-any-return]
    return _load_plugin(name, module, attribute)


def _load_plugin(name: str, module: str, attribute: str) -> Flavor:
    try:
        flavor = getattr(import_module(module), attribute)()
    except Exception as error:
        raise FlavorUnknown(
            f"The plug-in for flavor {name!r} ({module}) cannot be loaded: {type(error).__name__}: "
            f"{clipped(str(error), 200)}.",
            hint="Reinstall or remove the distribution that brings it.",
        ) from error
    if not isinstance(flavor, Flavor):
        raise FlavorUnknown(f"The plug-in for flavor {name!r} ({module}) gives no Flavor.")
    return flavor


def choose_flavor(manifest: Manifest, override: str | None = None) -> Flavor:
    """The flavor that answers for a package. Raises FlavorUnknown."""
    if override is not None:
        flavor = get_flavor(override)
        if override not in manifest.flavors:
            raise FlavorUnknown(
                f"The package has no flavor {override!r}.", hint=f"It has: {_listed(manifest.flavors)}."
            )
        return flavor
    if manifest.python_function is not None:
        return get_flavor(_NATIVE_LOADERS.get(str(manifest.python_function.get("loader_module")), PYTHON_FUNCTION))
    for name in known_flavors():
        if name in manifest.flavors:
            return get_flavor(name)
    raise FlavorUnknown(
        f"The package has only flavors that Penstock cannot load: {_listed(manifest.flavors)}.",
        hint=f"Known flavors: {', '.join(known_flavors())}. A plug-in may add one.",
    )


@cache
def _plugins() -> dict[str, str]:
    return {point.name: point.value for point in entry_points(group="penstock.flavors")}


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(map(str, names))) or "none"
