"""About the server: health, version, and what it can do."""

from __future__ import annotations

from collections.abc import Sequence

from penstock.hub.answers import HubAnswer, json_answer, text_answer
from penstock.hub.context import HubContext
from penstock.hub.requests import HubRequest
from penstock.hub.routes import HubRoute, mlflow_route
from penstock.metrics import CONTENT_TYPE
from penstock.mlflow_api.client import HUB

# The release whose REST this is: clients compare it with their own.
MLFLOW_VERSION = "3.18.0"


async def health(hub: HubContext, request: HubRequest) -> HubAnswer:
    return text_answer("OK")


async def version(hub: HubContext, request: HubRequest) -> HubAnswer:
    return text_answer(MLFLOW_VERSION)


async def metrics(hub: HubContext, request: HubRequest) -> HubAnswer:
    return HubAnswer(await hub.scrape(), headers=((b"content-type", CONTENT_TYPE.encode()),))


async def server_info(hub: HubContext, request: HubRequest) -> HubAnswer:
    return json_answer(
        {
            "server": HUB,  # which MLflow's clients do not read, and ours do
            "store_type": "SqlStore",
            "workspaces_enabled": False,
            "artifact_serving_enabled": True,
            "multipart_uploads_enabled": False,
            "multipart_downloads_enabled": False,
            "artifacts_presigned_only": False,
            "presigned_upload_url_supported": False,
            "presigned_upload_required_headers_supported": False,
            "trace_archival_enabled": False,
            "features_enabled": False,
        }
    )


ROUTES: Sequence[HubRoute] = (
    HubRoute("/health", ("GET",), "nothing", health),
    HubRoute("/version", ("GET",), "nothing", version),
    HubRoute("/metrics", ("GET",), "read", metrics),
    mlflow_route("GET", "server-info", "nothing", server_info, version="3.0"),
)
