"""Flavors: how each kind of artifact is recognised, written, judged and loaded (`interface`), and which one answers
for a package or an object (`table`)."""

from penstock.flavors.interface import (
    INTERFACE_VERSION,
    CodeReason,
    Flavor,
    FlavorOptions,
    LoadContext,
    Written,
    inside,
)
from penstock.flavors.predictor import Predictor
from penstock.flavors.table import choose_flavor, flavor_for, get_flavor, known_flavors, plug_in_flavors

__all__ = [
    "INTERFACE_VERSION",
    "CodeReason",
    "Flavor",
    "FlavorOptions",
    "LoadContext",
    "Predictor",
    "Written",
    "choose_flavor",
    "flavor_for",
    "get_flavor",
    "inside",
    "known_flavors",
    "plug_in_flavors",
]
