"""GET beside each path of predictions: what the version there takes, gives and accepts as params, in MLflow's form.

This is what a program needs that sends rows. Whoever may ask for predictions may read it, on every port.
"""

from __future__ import annotations

import json
from functools import cache
from importlib.util import find_spec
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from penstock.http.routes import Endpoint
from penstock.server.admin.json_response import json_response
from penstock.server.targets import SIGNATURE_PATHS
from penstock.serving.gateway import Gateway
from penstock.serving.servable import Servable
from penstock.wire.mlflow.formats import COLUMNAR, READERS


def signature_endpoints(gateway: Gateway) -> list[Endpoint]:
    async def signature(request: Request) -> Response:
        target = request.path_params
        return json_response(_described(gateway.find(target.get("name"), target.get("version"))))

    summary = "What the model takes, gives and accepts as params."
    return [Endpoint(path, ("GET",), "predict", signature, summary) for path in SIGNATURE_PATHS]


def _described(servable: Servable) -> dict[str, Any]:
    signature = servable.signature
    return {
        "model": servable.model,
        "version": servable.version,
        "digest": servable.loaded.digest,
        "flavor": servable.loaded.flavor,
        "signature": None
        if signature is None
        else {side: text and json.loads(text) for side, text in signature.to_mlflow().items()},
        "is_signature_from_type_hint": signature is not None and signature.hinted,
        "reads": _readable(),
    }


@cache
def _readable() -> list[str]:
    """The media types of bodies that this server can read."""
    return [media for media in READERS if media not in COLUMNAR or find_spec("pyarrow") is not None]
