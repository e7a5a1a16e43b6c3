"""Patterns of LIKE and ILIKE: `%` stands for any text, `_` for any one character, and nothing for these two.

A pattern is compiled once. Matching never goes back: what a part between two `%` matched first stays matched.
"""

from __future__ import annotations

import re
from functools import lru_cache


@lru_cache(maxsize=1024)
def like_pattern(pattern: str) -> re.Pattern[str]:
    """To be matched with the whole text, `fullmatch`."""
    first, *rest = re.split("%+", pattern)
    if not rest:
        return re.compile(_part(first), re.DOTALL)
    *middle, last = rest
    atoms = "".join(f"(?>.*?{_part(part)})" for part in middle)
    return re.compile(f"{_part(first)}{atoms}.*{_part(last)}", re.DOTALL)


def _part(text: str) -> str:
    return re.escape(text).replace("_", ".")


def like(text: str, pattern: str) -> bool:
    return like_pattern(pattern).fullmatch(text) is not None


def ilike(text: str, pattern: str) -> bool:
    """Without regard to case, by Unicode's rules of lower case."""
    return like_pattern(pattern.lower()).fullmatch(text.lower()) is not None
