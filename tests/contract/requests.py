"""What a request is: plain data, so that it can be written beside the answer that MLflow gave."""

from __future__ import annotations

import base64
import json
from typing import Any

Request = dict[str, Any]

JSON = "application/json"
CSV = "text/csv"
PARQUET = "application/vnd.apache.parquet"


def request(
    kind: str,
    case: str,
    body: str | bytes,
    content_type: str | None = JSON,
    *,
    method: str = "POST",
    path: str = "/invocations",
    headers: dict[str, str] | None = None,
) -> Request:
    """`kind` is the group of the report, `case` what is special; bytes that are no UTF-8 text are kept as base64."""
    result: Request = {"kind": kind, "case": case}
    if method != "POST":
        result["method"] = method
    if path != "/invocations":
        result["path"] = path
    given = {**({} if content_type is None else {"Content-Type": content_type}), **(headers or {})}
    if given != {"Content-Type": JSON}:
        result["headers"] = given
    return {**result, **_stored(body)}


def post(kind: str, case: str, document: Any) -> Request:
    """A JSON document."""
    return request(kind, case, json.dumps(document, ensure_ascii=False))


def _stored(body: str | bytes) -> dict[str, str]:
    if isinstance(body, str):
        return {"body": body}
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(body).decode()}
    return {"body": text}


def body_of(stored: Request) -> bytes:
    if "base64" in stored:
        return base64.b64decode(stored["base64"])
    text: str = stored["body"]
    return text.encode("utf-8", "surrogatepass")


def method_of(stored: Request) -> str:
    method: str = stored.get("method", "POST")
    return method


def path_of(stored: Request) -> str:
    path: str = stored.get("path", "/invocations")
    return path


def headers_of(stored: Request) -> dict[str, str]:
    headers: dict[str, str] = stored.get("headers", {"Content-Type": JSON})
    return headers


def name_of(stored: Request) -> str:
    return f"{stored['kind']}: {stored['case']}"
