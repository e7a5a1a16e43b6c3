"""GET /openapi.json: the API with the real types of every loaded model, each with an example that works.

Source: OpenAPI 3.1, whose schemas are JSON Schema 2020-12.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from penstock.http.routes import Endpoint
from penstock.server.admin.json_response import json_response
from penstock.server.admin.model_operations import ModelOperations
from penstock.server.targets import DEFAULT_INVOCATIONS, MODEL_INVOCATIONS
from penstock.serving.gateway import Gateway
from penstock.version import __version__


def openapi_endpoint(gateway: Gateway, others: Iterable[Endpoint]) -> Endpoint:
    """The document of the predictions of each model, and of `others`."""
    described = [endpoint for endpoint in others if endpoint.summary]
    operations = ModelOperations()

    async def openapi(_: Request) -> Response:
        return json_response(await _describe(gateway, described, operations))

    return Endpoint("/openapi.json", ("GET",), "predict", openapi, admin_only=True)


async def _describe(gateway: Gateway, endpoints: Iterable[Endpoint], operations: ModelOperations) -> dict[str, Any]:
    """The OpenAPI document for what is loaded now, and for these endpoints."""
    paths: dict[str, Any] = {}
    for model in gateway.models:
        if model.current is not None:
            path = MODEL_INVOCATIONS.replace("{name}", model.name)
            operation = await operations.of(model.current)
            paths[path] = {"post": operation}
            if model.name == gateway.default:
                paths[DEFAULT_INVOCATIONS] = {"post": {**operation, "operationId": "invoke"}}
    for endpoint in endpoints:
        answer = {"summary": endpoint.summary, "responses": {"200": {"description": endpoint.summary}}}
        paths[endpoint.path] = {method.lower(): answer for method in endpoint.methods}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Penstock",
            "version": __version__,
            "description": "Predictions from packaged models.",
        },
        "paths": paths,
        "components": {
            "schemas": {"Error": _ERROR},
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


_ERROR: dict[str, Any] = {
    "type": "object",
    "required": ["error_code", "message"],
    "properties": {"error_code": {"type": "string"}, "message": {"type": "string"}},
}
