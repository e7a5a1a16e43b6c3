"""What orchestrators, load balancers and MLflow's own clients ask: alive, ready, which version."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from penstock.http.routes import Endpoint
from penstock.metrics import CONTENT_TYPE
from penstock.server.admin.json_response import json_response
from penstock.serving.gateway import Gateway
from penstock.version import __version__


def probe_endpoints(gateway: Gateway, health_route: str | None = None) -> list[Endpoint]:
    """/ping and /health as MLflow answers them, and so `health_route`; /livez and /readyz for Kubernetes; /version."""

    async def ping(_: Request) -> Response:
        # MLflow answers a bare newline, and its clients look at the status alone.
        return Response("\n", 200 if gateway.ready else 503, media_type="application/json")

    async def livez(_: Request) -> Response:
        return json_response({"live": True})  # that this runs at all is the proof: the event loop turns

    async def readyz(_: Request) -> Response:
        state = "draining" if gateway.draining else "ready" if gateway.ready else "loading"
        body: dict[str, Any] = {"ready": gateway.ready, "state": state, "waiting_for": gateway.waiting_for}
        if gateway.waiting_for:
            body["because"] = gateway.waiting_because
        if stale := gateway.stale:
            body["stale"] = stale
        if gateway.worker_count is not None:
            serving, wanted = gateway.worker_count
            body["workers"] = {"serving": serving, "wanted": wanted}
        return json_response(body, 200 if gateway.ready else 503)

    async def version(_: Request) -> Response:
        return Response(__version__, media_type="application/json")

    pings = ("/ping", "/health") if health_route is None else ("/ping", "/health", health_route)
    return [
        *(Endpoint(path, ("GET",), "nothing", ping) for path in pings),
        Endpoint("/livez", ("GET",), "nothing", livez, "The process is alive."),
        Endpoint("/readyz", ("GET",), "nothing", readyz, "Every model is loaded and proven."),
        Endpoint("/version", ("GET",), "token", version, "The version of Penstock."),
    ]


def metrics_endpoints(gateway: Gateway) -> list[Endpoint]:
    async def metrics(_: Request) -> Response:
        return Response(await gateway.exposition(), media_type=CONTENT_TYPE)

    return [Endpoint("/metrics", ("GET",), "metrics", metrics, "Prometheus metrics.", admin_only=True)]
