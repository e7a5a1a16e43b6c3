"""What the hub answers: a status, a body and headers, and the JSON forms of MLflow's REST."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import orjson

from penstock.http.headers import Header

JSON_HEADERS: tuple[Header, ...] = ((b"content-type", b"application/json"),)

# With every answer: no browser takes one for something else, or shows it in a page of another site.
GUARD: tuple[Header, ...] = ((b"x-content-type-options", b"nosniff"), (b"x-frame-options", b"SAMEORIGIN"))


class HubAnswer(NamedTuple):
    """A whole answer in memory."""

    body: bytes
    status: int = 200
    headers: tuple[Header, ...] = JSON_HEADERS


# A write that has nothing to say.
EMPTY = HubAnswer(b"{}")


def json_answer(content: Mapping[str, Any]) -> HubAnswer:
    """Absent fields, empty lists and empty texts are left out by whoever makes the content."""
    return HubAnswer(orjson.dumps(content))


def text_answer(text: str, status: int = 200) -> HubAnswer:
    return HubAnswer(text.encode(), status, ((b"content-type", b"text/plain; charset=utf-8"),))
