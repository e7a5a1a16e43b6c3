"""The keywords of `save_model` that are a flavor's own, made into its options."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from penstock.errors import PackagingFailed
from penstock.flavors import Flavor, FlavorOptions, get_flavor
from penstock.flavors.table import BUILT_IN


def flavor_options(flavor: Flavor, given: Mapping[str, Any]) -> FlavorOptions:
    """The flavor's options with the keywords that were given. Raises PackagingFailed, which names what it has.

    A program may pass the same keywords for models of all kinds: one that says nothing here, because it is empty or
    another flavor's default, is left out.
    """
    names = [field.name for field in fields(flavor.options_type)]
    unknown = [name for name, value in given.items() if name not in names and not _says_nothing(name, value)]
    if unknown:
        raise PackagingFailed(
            f"A package of the flavor {flavor.name!r} has no option {', '.join(unknown)}.",
            hint=f"The flavor's options are: {', '.join(names)}." if names else "This flavor has no options.",
        )
    try:
        return flavor.options_type(**{name: value for name, value in given.items() if name in names})
    except (TypeError, ValueError) as error:
        raise PackagingFailed(f"The options of the flavor {flavor.name!r} cannot be used: {error}.") from None


def _says_nothing(name: str, value: Any) -> bool:
    if value is None or (isinstance(value, (str, list, tuple, dict)) and not value):
        return True
    return isinstance(value, str) and any(value == default for default in _built_in_defaults(name))


def _built_in_defaults(name: str) -> list[Any]:
    types = [get_flavor(entry.name).options_type for entry in BUILT_IN]
    return [field.default for options in types for field in fields(options) if field.name == name]
