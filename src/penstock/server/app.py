"""The application of a prediction server: everything that answers over one gateway, put together."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from penstock.access.tokens import KnownTokens
from penstock.defaults import MAX_BODY_BYTES, TIMEOUT
from penstock.errors import PenstockError
from penstock.http.authorizer import Authorizer
from penstock.http.connection.interface import Shortcuts
from penstock.http.cross_origin import CrossOrigin
from penstock.http.deadlines import DeadlineSweep
from penstock.http.errors import ErrorAnswer
from penstock.http.events.request_event import OnRequest
from penstock.reader_process.pool import ReaderPool
from penstock.server.connection.fast_path import FastPath
from penstock.server.connection.load_shedder import LoadShedder
from penstock.server.entry_point import EntryPoint
from penstock.server.predict.endpoint import PredictEndpoint
from penstock.server.predict.pipeline import Pipeline
from penstock.server.predict.reading import BodyReading
from penstock.server.routes import make_routes
from penstock.server.statuses import answer_of
from penstock.server.targets import DEFAULT_INVOCATIONS
from penstock.serving.gateway import Gateway
from penstock.wire.mlflow.codec import MlflowProtocol
from penstock.wire.mlflow.error_codes import error_body
from penstock.wire.mlflow.vertex import VertexProtocol


def make_app(
    gateway: Gateway,
    *,
    token: str = "",
    access: Authorizer | None = None,
    max_body_bytes: int = MAX_BODY_BYTES,
    timeout: float = TIMEOUT,
    nan_words: bool = False,
    mlflow_exact: bool | Callable[[str], bool] = False,
    observe: OnRequest | None = None,
    admin_port: int | None = None,
    predict_route: str | None = None,
    health_route: str | None = None,
    readers: ReaderPool | None = None,
    cors_origins: Sequence[str] = (),
) -> EntryPoint:
    """The application for a gateway. The caller starts and closes the gateway, and closes the application after it.

    `access` knows callers; without it there is the one with the `token`, or everybody where that is empty. `timeout`
    is the seconds that a request may take; `nan_words` writes NaN and Infinity as MLflow does; `mlflow_exact` says for
    which models every answer is MLflow's, bit for bit. Where `admin_port` is set, metrics, model listings and docs are
    answered on connections to that port alone. The routes are more paths for predictions and for the question whether
    it is ready. `observe` is told of every prediction. Large bodies are read by `readers`, which are closed with the
    application; without any, everything is read on the event loop. Pages of the `cors_origins` may read answers, `*` is
    all pages.
    """
    access = access or Authorizer(KnownTokens.static(token))
    cross_origin = CrossOrigin(cors_origins) if cors_origins else None
    sweep = DeadlineSweep()
    pipeline = Pipeline(gateway, timeout=timeout, observe=observe, caller_of=access.identify)
    reading = BodyReading(pipeline, readers, max_body_bytes)
    on_loop = readers is not None
    mlflow = MlflowProtocol(nan_words=nan_words, max_body_bytes=max_body_bytes, on_loop=on_loop, exact=mlflow_exact)
    vertex = VertexProtocol(nan_words=nan_words, max_body_bytes=max_body_bytes, on_loop=on_loop, exact=mlflow_exact)
    invocations = PredictEndpoint(pipeline, mlflow, sweep, reading, max_body_bytes=max_body_bytes)
    routes = make_routes(
        gateway,
        invocations,
        predict_route=predict_route,
        platform_predictions=PredictEndpoint(pipeline, vertex, sweep, reading, max_body_bytes=max_body_bytes),
        health_route=health_route,
    )
    shortcuts = Shortcuts(
        FastPath(pipeline, mlflow, sweep, access, reading, max_body_bytes=max_body_bytes, cross_origin=cross_origin),
        LoadShedder(pipeline, mlflow, access, cross_origin),
        sweep,
    )
    return EntryPoint(
        _dispatcher(routes.routes(admin=True)),
        invocations,
        gateway,
        access,
        routes,
        public=_dispatcher(routes.routes(admin=False)),
        admin_port=admin_port,
        shortcuts=shortcuts,
        cross_origin=cross_origin,
        on_close=reading.close,
    )


def _dispatcher(routes: list[Route]) -> Starlette:
    handlers = {HTTPException: _http_error, PenstockError: _answer_error, Exception: _answer_error}
    return Starlette(routes=routes, exception_handlers=handlers)  # type: ignore[arg-type]


async def _http_error(request: Request, error: HTTPException) -> Response:
    """No such path, or not this method. `detail` is what MLflow's server says."""
    status = 404 if request.url.path == "/" else error.status_code  # / leads to the docs, and is nothing else
    if status == 404:
        body = error_body(
            "ENDPOINT_NOT_FOUND", f"This path does not exist. For predictions: POST {DEFAULT_INVOCATIONS}."
        )
    else:
        allowed = (error.headers or {}).get("Allow", "")
        body = error_body(
            "BAD_REQUEST", f"{request.method} is not allowed here. Allowed: {allowed or 'other methods'}."
        )
    headers = tuple((name.lower().encode(), value.encode()) for name, value in (error.headers or {}).items())
    return ErrorAnswer(status, body, headers).response()


async def _answer_error(_: Request, error: Exception) -> Response:
    return answer_of(error).response()
