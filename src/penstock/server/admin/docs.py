"""GET /docs: a page to read and try the models from, complete in itself; it loads nothing from elsewhere. GET / leads
there."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

from starlette.requests import Request
from starlette.responses import Response

from penstock.http.routes import Endpoint

# The page's own style and script are files of this package; nothing else may run or be fetched.
_POLICY = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'"
_ASSETS = {"docs.css": "text/css", "docs.js": "text/javascript"}
_ROOT = b"This is Penstock. GET /docs is a page to read and try the models from, POST /invocations predicts.\n"


def docs_endpoints() -> list[Endpoint]:
    async def page(_: Request) -> Response:
        return Response(_read("docs.html"), media_type="text/html", headers={"Content-Security-Policy": _POLICY})

    async def asset(request: Request) -> Response:
        name = request.url.path.rpartition("/")[2]
        return Response(_read(name), media_type=_ASSETS[name], headers={"Cache-Control": "no-cache"})

    async def root(_: Request) -> Response:
        # Relative, so that it holds behind a proxy that serves all this under a path of its own.
        return Response(_ROOT, 307, headers={"Location": "docs"}, media_type="text/plain")

    return [
        Endpoint("/", ("GET",), "nothing", root, admin_only=True),
        Endpoint("/docs", ("GET",), "nothing", page, admin_only=True),
        *(Endpoint(f"/docs/{name}", ("GET",), "nothing", asset, admin_only=True) for name in _ASSETS),
    ]


@cache
def _read(name: str) -> bytes:
    return (files("penstock.server") / "pages" / name).read_bytes()
