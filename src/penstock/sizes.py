"""Sizes in bytes as people write them: 1048576, 500MB, 2GiB."""

from __future__ import annotations

import re

from penstock.errors import ConfigError

_UNITS = {
    "": 1,
    "b": 1,
    "k": 1000,
    "kb": 1000,
    "m": 1000**2,
    "mb": 1000**2,
    "g": 1000**3,
    "gb": 1000**3,
    "t": 1000**4,
    "tb": 1000**4,
    "ki": 1024,
    "kib": 1024,
    "mi": 1024**2,
    "mib": 1024**2,
    "gi": 1024**3,
    "gib": 1024**3,
    "ti": 1024**4,
    "tib": 1024**4,
}
_SIZE = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([A-Za-z]*)\s*")


def parse_size(text: str | int) -> int:
    """The bytes that a text means. Units are those of Kubernetes too (Gi, G) and more. Raises ConfigError."""
    found = _SIZE.fullmatch(str(text))
    if found is None or found[2].lower() not in _UNITS:
        raise ConfigError(f"{text!r} is not a size.", hint="Write bytes, or a number with a unit: 500MB, 2GiB.")
    return int(float(found[1]) * _UNITS[found[2].lower()]) if found[2] or "." in found[1] else int(found[1])


def shown_size(size: int) -> str:
    """Bytes as a person reads them, in decimal units: 27.4 kB."""
    for unit, bytes_ in (("TB", 1000**4), ("GB", 1000**3), ("MB", 1000**2), ("kB", 1000)):
        if size >= bytes_:
            return f"{size / bytes_:.1f} {unit}"
    return f"{size} B"
