"""Locked requirements: every distribution with its version and the hashes of its files, as text.

The form is that of pip and uv, so `pip install --require-hashes -r requirements.lock` reads it too. Only that is read:
a name, a version, a marker, hashes. No line of it can name a place to install from.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

from penstock.errors import PackageInvalid
from penstock.payload import shortened

# The file in a package that `penstock package lock` writes.
LOCK = "requirements.lock"

_PIN = re.compile(r"([a-z0-9](?:[a-z0-9-]*[a-z0-9])?)==([A-Za-z0-9.+!_-]+)\s*(?:;([\w\s.'\"<>=!~()+,*-]*))?")
_HASH = re.compile(r"sha256:[0-9a-f]{64}")
_LONGEST = 500
_HEAD = "# Written by penstock package lock. To change versions, edit requirements.txt and lock again.\n"
_FOR_PYTHON = re.compile(r"# Python: (\d+\.\d+)\b")
_ASKED = re.compile(r"# Asked: ([0-9a-f]{64})\b")


@dataclass(frozen=True, slots=True)
class Pin:
    """One distribution. `marker` says where it is wanted, empty for everywhere."""

    name: str
    version: str
    marker: str = ""
    hashes: tuple[str, ...] = ()

    @property
    def constraint(self) -> str:
        """Without hashes, which uv's constraints do not know."""
        return f"{self.name}=={self.version}{f' ; {self.marker}' if self.marker else ''}"

    def __str__(self) -> str:
        return " \\\n".join([self.constraint, *(f"    --hash={value}" for value in self.hashes)])


@dataclass(frozen=True, slots=True)
class Lock:
    """Pins in order of names. `python` is the minor version that it was made for, `asked` names the requirements that
    it was made from; both are empty where it does not say."""

    pins: tuple[Pin, ...]
    python: str = ""
    asked: str = ""

    @property
    def text(self) -> str:
        """What uv reads: equal pins give equal text."""
        return "".join(f"{pin}\n" for pin in self.pins)

    @property
    def file(self) -> str:
        """What stands in a package."""
        return f"{_HEAD}# Python: {self.python}\n# Asked: {self.asked}\n{self.text}"

    @property
    def names(self) -> frozenset[str]:
        return frozenset(pin.name for pin in self.pins)

    @property
    def hashed(self) -> bool:
        return bool(self.pins) and all(pin.hashes for pin in self.pins)

    def with_hashes_of(self, other: Lock) -> Lock:
        """The same pins; those that another lock holds in the same version have the hashes that stand there."""
        known = {(pin.name, pin.version): pin.hashes for pin in other.pins if pin.hashes}
        return replace(self, pins=tuple(replace(p, hashes=known.get((p.name, p.version), p.hashes)) for p in self.pins))


def parse_lock(text: str) -> Lock:
    """Raises PackageInvalid, which names the line that is no pin."""
    head = text[:_LONGEST]
    python, asked = (found[1] if (found := pattern.search(head)) else "" for pattern in (_FOR_PYTHON, _ASKED))
    pins = sorted(_pins(text.splitlines()), key=lambda pin: (pin.name, pin.version, pin.marker))
    return Lock(tuple(pins), python, asked)


def _pins(lines: Iterable[str]) -> Iterable[Pin]:
    block = ""
    for line in lines:
        stripped = line.strip()
        if not block and (not stripped or stripped.startswith("#")):
            continue
        block += " " + stripped.removesuffix("\\").strip()
        if stripped.endswith("\\"):
            continue
        yield _pin(block.strip())
        block = ""
    if block:
        yield _pin(block.strip())


def _pin(text: str) -> Pin:
    head, *hashes = " ".join(text.split()).split(" --hash=")
    found = _PIN.fullmatch(head) if len(head) <= _LONGEST else None
    if found is None or not all(map(_HASH.fullmatch, hashes)):
        raise PackageInvalid(f"The requirements lock has an invalid line: {shortened(text)}.")
    return Pin(found[1], found[2], (found[3] or "").strip(), tuple(hashes))
