"""What the contract tests register."""

from __future__ import annotations

import json

from penstock.registry import NewVersion, Registry


def columns(*names: str) -> dict[str, str]:
    return {"inputs": json.dumps([{"name": name, "type": "double", "required": True} for name in names])}


def add(registry: Registry, name: str = "fraud", count: int = 1) -> None:
    for _ in range(count):
        registry.register(name, NewVersion(f"{name}/package"))
