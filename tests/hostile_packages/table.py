"""Every hostile package there is, in one table: what a gateway must bear that trusts nobody's code."""

from __future__ import annotations

from hostile_packages.archives import archives
from hostile_packages.estimators import estimators
from hostile_packages.graphs import graphs
from hostile_packages.manifests import manifests
from hostile_packages.package import HostilePackage
from hostile_packages.shapes import shapes
from hostile_packages.side_files import side_files

_MAKERS = (manifests, archives, estimators, graphs, side_files, shapes)

TABLE: tuple[HostilePackage, ...] = tuple(hostile for make in _MAKERS for hostile in make())
KINDS: tuple[str, ...] = tuple(dict.fromkeys(hostile.kind for hostile in TABLE))
