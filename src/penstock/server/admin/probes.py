"""What orchestrators, load balancers and MLflow's own clients ask: alive, ready, which version."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

import penstock
from penstock.metrics import CONTENT_TYPE
from penstock.serving.gateway import Gateway


def probe_routes(gateway: Gateway, health_route: str | None = None) -> list[Route]:
    """/ping and /health as MLflow answers them, and so `health_route`; /livez and /readyz for Kubernetes; /version."""

    async def ping(_: Request) -> Response:
        # MLflow answers a bare newline, and its clients look at the status alone.
        return Response("\n", 200 if gateway.ready else 503, media_type="application/json")

    async def livez(_: Request) -> Response:
        return JSONResponse({"live": True})  # that this runs at all is the proof: the event loop turns

    async def readyz(_: Request) -> Response:
        state = "draining" if gateway.draining else "ready" if gateway.ready else "loading"
        said: dict[str, Any] = {"ready": gateway.ready, "state": state, "waiting_for": gateway.waiting_for}
        if gateway.company is not None:
            serving, wanted = gateway.company
            said["workers"] = {"serving": serving, "wanted": wanted}
        return JSONResponse(said, 200 if gateway.ready else 503)

    async def version(_: Request) -> Response:
        return Response(penstock.__version__, media_type="application/json")

    handlers = {"/ping": ping, "/health": ping, "/livez": livez, "/readyz": readyz, "/version": version}
    if health_route is not None:
        handlers[health_route] = ping
    return [Route(path, handler, methods=["GET"]) for path, handler in handlers.items()]


def metrics_routes(gateway: Gateway) -> list[Route]:
    async def metrics(_: Request) -> Response:
        return Response(await gateway.exposition(), media_type=CONTENT_TYPE)

    return [Route("/metrics", metrics, methods=["GET"])]
