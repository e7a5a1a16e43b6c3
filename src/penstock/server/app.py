"""The ASGI application: routes over one gateway, errors as JSON, the door in front."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from penstock.access.tokens import BearerToken
from penstock.errors import PenstockError
from penstock.http.bodies import MAX_BODY_BYTES
from penstock.http.deadlines import DeadlineSweep
from penstock.http.events.request_event import OnRequest
from penstock.server.admin.docs import docs_routes
from penstock.server.admin.models import model_routes
from penstock.server.admin.openapi import openapi_routes
from penstock.server.admin.probes import metrics_routes, probe_routes
from penstock.server.connection.fast_path import FastPath
from penstock.server.connection.load_shedder import LoadShedder
from penstock.server.entry_point import EntryPoint
from penstock.server.predict.endpoint import PredictEndpoint
from penstock.server.predict.pipeline import TIMEOUT, Pipeline
from penstock.server.statuses import body_of, error_body, status_of
from penstock.serving.gateway import Gateway
from penstock.wire.mlflow.codec import MlflowProtocol
from penstock.wire.mlflow.vertex import VertexProtocol

INVOCATION_PATHS = ("/invocations", "/models/{name}/invocations", "/models/{name}/versions/{version}/invocations")


def make_app(
    gateway: Gateway,
    *,
    token: str = "",
    max_body_bytes: int = MAX_BODY_BYTES,
    timeout: float = TIMEOUT,
    nan_words: bool = False,
    observe: OnRequest | None = None,
    admin_port: int | None = None,
    predict_route: str | None = None,
    health_route: str | None = None,
) -> ASGIApp:
    """The application for a gateway, which the caller starts and closes. `token` empty means no token is asked for;
    `timeout` is the seconds that a request may take; `nan_words` writes NaN and Infinity as MLflow does. Where
    `admin_port` is set, metrics, model listings and docs are answered on connections to that port alone. The routes are
    more paths for predictions and for the question whether it is ready. `observe` is told of every prediction."""
    bearer = BearerToken(token)
    pipeline = Pipeline(gateway, timeout=timeout, observe=observe)
    mlflow = MlflowProtocol(nan_words=nan_words)
    sweep = DeadlineSweep()
    invocations = PredictEndpoint(pipeline, mlflow, sweep, max_body_bytes=max_body_bytes)
    public = [
        *(Route(path, invocations, methods=["POST"]) for path in INVOCATION_PATHS),
        *probe_routes(gateway, health_route),
    ]
    if predict_route is not None:
        vertex = PredictEndpoint(pipeline, VertexProtocol(nan_words=nan_words), sweep, max_body_bytes=max_body_bytes)
        public.insert(0, Route(predict_route, vertex, methods=["POST"]))
    rest = [*model_routes(gateway), *openapi_routes(gateway), *docs_routes(), *metrics_routes(gateway)]
    return EntryPoint(
        _application([*public, *rest]),
        invocations,
        gateway,
        bearer,
        fast_path=FastPath(pipeline, mlflow, sweep, bearer, max_body_bytes=max_body_bytes),
        load_shedder=LoadShedder(pipeline, mlflow, bearer),
        public=_application(public),
        admin_port=admin_port,
        open_paths={health_route} if health_route else set(),
    )


def _application(routes: list[Route]) -> Starlette:
    handlers = {HTTPException: _http_error, PenstockError: _penstock_error}
    return Starlette(routes=routes, exception_handlers=handlers)  # type: ignore[arg-type]


async def _http_error(request: Request, error: HTTPException) -> Response:
    """No such path, or not this method. `detail` is what MLflow's server says."""
    if error.status_code == 404:
        body = error_body(
            "ENDPOINT_NOT_FOUND", f"There is nothing at this path. Predictions: POST {INVOCATION_PATHS[0]}."
        )
    else:
        allowed = (error.headers or {}).get("Allow", "")
        body = error_body("BAD_REQUEST", f"{request.method} is not allowed here; {allowed or 'other methods'} are.")
    return Response(body, error.status_code, dict(error.headers or {}), media_type="application/json")


async def _penstock_error(_: Request, error: PenstockError) -> Response:
    status = status_of(error)
    return Response(body_of(error, status), status.http, media_type="application/json")
