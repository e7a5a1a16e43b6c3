"""What docs/kubernetes.md says, for tests that do it: its values, its Dockerfile, its commands."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

PAGE = Path(__file__).parents[2] / "docs" / "kubernetes.md"
_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(language: str = "") -> list[str]:
    """The fenced blocks of a language, in their order."""
    return [text for said, text in _BLOCK.findall(PAGE.read_text()) if said == language]


def values(number: int = 0) -> dict[str, Any]:
    """The page's values.yaml, or a later piece of one."""
    found: dict[str, Any] = yaml.safe_load(blocks("yaml")[number])
    return found


def commands(program: str) -> list[str]:
    """The lines that call a program, those that end in a backslash joined to the next, less their comments."""
    lines = "".join(blocks()).replace("\\\n", " ").splitlines()
    shown = [re.sub(r"\s+#.*", "", line.removeprefix("$ ")).strip() for line in lines]
    return [line for line in shown if line.startswith(f"{program} ")]
