"""The routes of a prediction server, in one table."""

from __future__ import annotations

from starlette.types import ASGIApp

from penstock.http.routes import Endpoint, RouteTable
from penstock.server.admin.docs import docs_endpoints
from penstock.server.admin.model_endpoints import model_endpoints
from penstock.server.admin.openapi import openapi_endpoint
from penstock.server.admin.probes import metrics_endpoints, probe_endpoints
from penstock.server.admin.signatures import signature_endpoints
from penstock.server.targets import INVOCATION_PATHS
from penstock.serving.gateway import Gateway


def make_routes(
    gateway: Gateway,
    invocations: ASGIApp,
    *,
    predict_route: str | None = None,
    platform_predictions: ASGIApp | None = None,
    health_route: str | None = None,
) -> RouteTable:
    """Every route. `invocations` answers predictions, and `platform_predictions` those at `predict_route`, a path that
    a platform sets, as it sets `health_route` for its probes."""
    endpoints = [Endpoint(path, ("POST",), "predict", invocations) for path in INVOCATION_PATHS]
    if predict_route is not None:
        endpoints.insert(0, Endpoint(predict_route, ("POST",), "predict", platform_predictions or invocations))
    endpoints += [
        *signature_endpoints(gateway),
        *model_endpoints(gateway),
        *docs_endpoints(),
        *probe_endpoints(gateway, health_route),
        *metrics_endpoints(gateway),
    ]
    return RouteTable([*endpoints, openapi_endpoint(gateway, endpoints)])
