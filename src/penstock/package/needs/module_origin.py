"""Where a module comes from: Python itself, an installed distribution, or a file of somebody's own."""

from __future__ import annotations

import json
import os
import re
import site
import sys
import sysconfig
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from functools import cache, lru_cache
from importlib.metadata import Distribution, distribution, distributions, packages_distributions, requires
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from penstock.package.environment import canonical


class ModuleSource(Enum):
    STANDARD = "part of Python"
    INSTALLED = "of an installed distribution"
    OWN = "a file or folder of somebody's own"
    ABSENT = "nowhere to be found"


@dataclass(frozen=True, slots=True)
class Origin:
    """`place` is the file of a module, or the folder of a package, of somebody's own. `distributions` are those that
    bring the module; of a namespace that several share, those that have the very module, where that can be told."""

    source: ModuleSource
    place: Path | None = None
    distributions: tuple[Distribution, ...] = ()

    @property
    def is_loose(self) -> bool:
        """Whether it is somebody's own, and no distribution that was installed in place has it."""
        return self.source is ModuleSource.OWN and not self.distributions


def origin_of(module: str) -> Origin:
    """The origin of a module that is loaded, or could be: nothing is imported."""
    top = module.partition(".")[0]
    places = _places(top)
    if places is None:
        return Origin(ModuleSource.STANDARD if top in sys.stdlib_module_names else ModuleSource.ABSENT)
    if not places or any(_is_standard(place) for place in places):
        return Origin(ModuleSource.STANDARD)
    found = distributions_of(module)
    if any(_is_in_site(place) or _is_among(place, found) for place in places):
        return Origin(ModuleSource.INSTALLED, distributions=found)
    place = places[0].parent if places[0].name == "__init__.py" else places[0]
    owner = _editable_owner(place)
    return Origin(ModuleSource.OWN, place, () if owner is None else (owner,))


def _places(top: str) -> list[Path] | None:
    """The files or folders that a module is made of; empty for one that is built in, None where there is none."""
    module = sys.modules.get(top)
    try:
        spec: Any = find_spec(top) if module is None else getattr(module, "__spec__", None)
    except (ImportError, ValueError):
        spec = None
    if module is None and spec is None:
        return None
    file = getattr(module, "__file__", None) or getattr(spec, "origin", None)
    if isinstance(file, str) and file not in ("built-in", "frozen"):
        return [Path(os.path.abspath(file))]
    folders = getattr(module, "__path__", None) or getattr(spec, "submodule_search_locations", None) or ()
    return [Path(os.path.abspath(folder)) for folder in folders]


@cache
def _standard_folders() -> tuple[Path, ...]:
    paths = sysconfig.get_paths()
    return tuple({Path(paths[key]) for key in ("stdlib", "platstdlib")})


def _is_standard(place: Path) -> bool:
    return not _is_in_site(place) and any(place.is_relative_to(folder) for folder in _standard_folders())


def _is_in_site(place: Path) -> bool:
    folders = {*site.getsitepackages(), site.getusersitepackages(), sysconfig.get_paths()["purelib"]}
    named = {"site-packages", "dist-packages"} & set(place.parts)
    return bool(named) or any(place.is_relative_to(folder) for folder in folders)


def _is_among(place: Path, found: Iterable[Distribution]) -> bool:
    """Whether a file lies in the folder that one of the distributions was installed into."""
    return any(place.is_relative_to(os.path.abspath(str(one.locate_file("")))) for one in found)


def distributions_of(module: str) -> tuple[Distribution, ...]:
    """The installed distributions that bring a module, by what their files or they themselves say."""
    top = module.partition(".")[0]
    names = sorted(set(_names_by_module(_site_stamp()).get(top, ())))
    found = [distribution(name) for name in names]
    if len(found) > 1 and (exact := [one for one in found if _has_module(one, module)]):
        found = exact
    return tuple(found)


def _site_stamp() -> tuple[tuple[str, int], ...]:
    """Changes where something was installed since: reading all that is installed takes a fifth of a second."""
    folders = (folder for folder in dict.fromkeys(sys.path) if os.path.isdir(folder))
    return tuple((folder, os.stat(folder).st_mtime_ns) for folder in folders)


@lru_cache(maxsize=1)
def _names_by_module(stamp: object) -> Mapping[str, list[str]]:
    return packages_distributions()


def _has_module(one: Distribution, module: str) -> bool:
    path = module.replace(".", "/")
    wanted = {f"{path}.py", f"{path}/__init__.py"}
    return any(file.as_posix() in wanted for file in one.files or ())


def local_source(one: Distribution) -> str:
    """The place that a distribution was installed from, where that is no index: a folder, a file or a repository.
    Source: PyPA, Recording the Direct URL Origin of installed distributions."""
    try:
        found = json.loads(one.read_text("direct_url.json") or "{}")
    except (ValueError, OSError):
        return ""
    url = str(found.get("url") or "") if isinstance(found, dict) else ""
    return unquote(urlsplit(url).path) if url.startswith("file:") else url


def _editable_owner(place: Path) -> Distribution | None:
    """The distribution that was installed from the folder which a file lies in, in place."""
    for one in distributions():
        folder = local_source(one)
        if folder.startswith("/") and place.is_relative_to(folder) and Path(folder).is_dir():
            return one
    return None


def lies_in(place: Path, one: Distribution) -> bool:
    """Whether a file or folder is a distribution's own, installed or in the folder that it was installed from."""
    folder = local_source(one)
    real = place.resolve()
    if folder.startswith("/") and real.is_relative_to(folder):
        return True
    return real.is_relative_to(Path(str(one.locate_file(place.name))).resolve())


@cache
def _needs_of_penstock() -> frozenset[str]:
    """Distributions that Penstock and its extras need, with what those need in turn."""
    found: set[str] = set()
    waiting = ["penstock"]
    while waiting:
        name = canonical(waiting.pop())
        if name not in found:
            found.add(name)
            waiting += declared_needs(name, extras=name == "penstock")
    return frozenset(found)


def needed_by_penstock(one: Distribution) -> bool:
    return canonical(one.name) in _needs_of_penstock()


_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def declared_needs(name: str, *, extras: bool = False) -> list[str]:
    """The distributions that an installed one says it needs, in one form; none of those for its extras."""
    try:
        listed = requires(name) or []
    except ImportError:  # it is not installed
        return []
    plain = (text for text in listed if extras or "extra ==" not in text)
    return [canonical(found[0]) for text in plain if (found := _NAME.match(text.strip()))]
