"""What an outcome that is no prediction means: the error that it becomes. One table of statuses."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

import orjson

from penstock.client.exchange import GatewayReply, Outcome
from penstock.client.retries import retry_after
from penstock.errors import (
    GatewayBusy,
    GatewayDenied,
    GatewayError,
    GatewayFault,
    GatewayTimeout,
    GatewayUnreachable,
    ModelUnknown,
    RequestRefused,
)
from penstock.payload import Violation, clipped

_KINDS: dict[int, type[GatewayError]] = {
    401: GatewayDenied,
    403: GatewayDenied,
    404: ModelUnknown,
    405: ModelUnknown,
    408: GatewayTimeout,
    429: GatewayBusy,
    503: GatewayBusy,
    504: GatewayTimeout,
}
_HINTS: dict[int, str] = {
    401: "Give the client the server's token.",
}


def error_of_outcome(outcome: Outcome, url: str, request_id: str, tries: int) -> GatewayError:
    """The error that a caller is to see."""
    if isinstance(outcome, GatewayReply):
        return _refusal(outcome, url, request_id, tries)
    if outcome.late:
        return late(url, request_id, tries)
    what = "The connection was lost" if outcome.sent else "There is no connection"
    return GatewayUnreachable(
        f"{what}: {url} ({clipped(outcome.reason)}).",
        hint="" if outcome.sent else "Is the server running there, and is the URL right?",
        request_id=request_id,
        tries=tries,
    )


def late(url: str, request_id: str, tries: int) -> GatewayTimeout:
    """The time is over, and no answer of the server says so."""
    return GatewayTimeout(
        f"{url} did not answer before the deadline.",
        hint="Allow more time, or send fewer rows.",
        request_id=request_id,
        tries=tries,
    )


def _refusal(reply: GatewayReply, url: str, request_id: str, tries: int) -> GatewayError:
    status, document = reply.status, error_document(reply)
    kind = _KINDS.get(status, RequestRefused if 400 <= status < 500 else GatewayFault)
    error = kind(
        str(document["message"]) if document else _unexplained(reply, url),
        hint=_HINTS.get(status, ""),
        status=status,
        error_code=str(document.get("error_code", "")),
        request_id=reply.headers.get("x-request-id", request_id),
        tries=tries,
    )
    if isinstance(error, RequestRefused):
        error.violations = _violations(document.get("violations"))
    if isinstance(error, GatewayBusy):
        error.retry_after = retry_after(reply)
    return error


def error_document(reply: GatewayReply) -> dict[str, Any]:
    """The JSON object of an error; empty where whoever answered speaks another language."""
    try:
        document = orjson.loads(reply.body)
    except orjson.JSONDecodeError:
        return {}
    return document if isinstance(document, dict) and isinstance(document.get("message"), str) else {}


def _unexplained(reply: GatewayReply, url: str) -> str:
    """The text for an answer of something that is no gateway: a proxy, another server, a page that moved."""
    words = f"{reply.status} {HTTPStatus(reply.status).phrase}" if reply.status in _STATUSES else str(reply.status)
    if target := reply.headers.get("location"):
        return f"{url} answers {words} and leads to {clipped(target, 200)}: give the client that server's URL."
    return f"{url} answers {words} without a message of a gateway's."


_STATUSES = frozenset(HTTPStatus)


def _violations(listed: object) -> tuple[Violation, ...]:
    """Those that a server lists, as far as they have the form that ours have."""
    if not isinstance(listed, list):
        return ()
    return tuple(
        Violation(str(item.get("reason", "")), _as(int, item.get("row")), _as((str, int), item.get("column")))
        for item in listed
        if isinstance(item, dict)
    )


def _as(kind: Any, value: Any) -> Any:
    return value if isinstance(value, kind) else None
