"""A body of JSON: what it says, or where it stops being JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import orjson

from penstock.errors import TrackingInvalid
from penstock.mlflow_api.search.tokens import UNKEEPABLE


def read_json(body: bytes, encoding: bytes | None = None) -> tuple[Any, str]:
    """What a body says, and why it says nothing where it is no JSON object. `encoding` is its Content-Encoding. Raises
    TrackingInvalid for texts that nothing can keep."""
    try:
        found = orjson.loads(body)
        suspect = b"\\u0000" in body
    except orjson.JSONDecodeError:
        try:  # bare NaN and Infinity, and halves of characters
            found, suspect = json.loads(body), True
        except (ValueError, RecursionError) as error:
            return None, _why_unread(error, encoding) if body else ""
    if suspect:
        for text in _texts_in(found):
            check_keepable(text)
    return found, "" if isinstance(found, dict) else "the body is JSON, but no object"


def check_keepable(text: str) -> None:
    """Raises TrackingInvalid for a text that no database keeps: with a zero byte, or half of a character."""
    if (found := UNKEEPABLE.search(text)) is not None:
        raise TrackingInvalid(f"No text can hold the character {found[0]!a}.")


def _why_unread(error: Exception, encoding: bytes | None) -> str:
    named = (encoding or b"").decode("latin-1").strip()
    if named.lower() not in ("", "identity"):
        shown = ascii(named[:50])[1:-1]
        return f"the body has Content-Encoding: {shown}, which is not read here; send it as plain JSON"
    if isinstance(error, UnicodeDecodeError):
        return f"the body is not JSON: it is not UTF-8 from byte {error.start + 1} on"
    if isinstance(error, json.JSONDecodeError):
        said = error.msg[:1].lower() + error.msg[1:]
        return f"the body is not JSON: {said} at line {error.lineno}, column {error.colno}"
    if isinstance(error, RecursionError):
        return "the body is not JSON that can be read: it is nested too deep"
    return "the body is not JSON that can be read: a number in it has too many digits"


def _texts_in(content: Any) -> Iterator[str]:
    """All texts anywhere in what was read."""
    pending = [content]
    while pending:
        each = pending.pop()
        if isinstance(each, str):
            yield each
        elif isinstance(each, dict):
            pending += [*each, *each.values()]
        elif isinstance(each, list):
            pending += each
