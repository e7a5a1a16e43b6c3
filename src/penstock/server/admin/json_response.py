"""Answers of what the server tells about itself, as JSON whatever the names and texts in it are."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from penstock.wire.mlflow.answers import dump_json


def json_response(value: Any, status: int = 200) -> Response:
    """Half characters become escapes, numbers that are not finite null: neither costs the rest of the answer."""
    return Response(dump_json(value), status, media_type="application/json")
