"""Requirements that name the versions installed here."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version


def pins(*names: str) -> tuple[str, ...]:
    """`name==version` of each distribution that is installed. A version's local part (`+cpu`) is left out: no index has
    it."""
    found = []
    for name in names:
        try:
            found.append(f"{name}=={version(name).partition('+')[0]}")
        except PackageNotFoundError:
            continue
    return tuple(found)
