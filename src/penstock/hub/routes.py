"""The table of the hub's routes: path, methods, the role that may ask, and what answers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from penstock.access.policy import HubNeeds
from penstock.http.routes import PathMatcher
from penstock.hub.requests import Handler, StreamHandler


@dataclass(frozen=True, slots=True)
class HubRoute:
    """One path, which may end in `{NAME...}` for all that follows. Either `handler` answers from memory, or `stream`
    reads the body and sends the answer itself."""

    path: str
    methods: tuple[str, ...]
    needs: HubNeeds
    handler: Handler | None = None
    stream: StreamHandler | None = None


def mlflow_route(methods: str, path: str, needs: HubNeeds, handler: Handler, version: str = "2.0") -> HubRoute:
    """`path` below `/api/2.0/mlflow/`; the same answers below `/ajax-api/`."""
    return HubRoute(f"/api/{version}/mlflow/{path}", tuple(methods.split()), needs, handler)


class HubRoutes:
    """All routes. Most paths are constant, and found by one look into a dictionary."""

    def __init__(self, routes: Iterable[HubRoute]) -> None:
        self._rows = [twin for route in routes for twin in _with_twin(route)]
        self._constant = {
            (method, row.path): row for row in self._rows if "{" not in row.path for method in row.methods
        }
        self._templates = [(_matcher(row.path), row) for row in self._rows if "{" in row.path]
        self._paths = {row.path for row in self._rows}

    def __iter__(self) -> Iterator[HubRoute]:
        return iter(self._rows)

    def find(self, method: str, path: str) -> tuple[HubRoute, dict[str, str]] | None:
        """The route of a request and the parameters of its path. HEAD is answered as GET."""
        method = "GET" if method == "HEAD" else method
        row = self._constant.get((method, path))
        if row is not None:
            return row, {}
        for match, row in self._templates:
            if method in row.methods and (found := match(path)) is not None:
                return row, found
        return None

    def knows(self, path: str) -> bool:
        """Whether any method is allowed for the path."""
        return path in self._paths or any(match(path) is not None for match, _ in self._templates)

    def __repr__(self) -> str:
        return f"<HubRoutes: {len(self._rows)}>"


def _matcher(template: str) -> Callable[[str], dict[str, str] | None]:
    if not template.endswith("...}"):
        return PathMatcher(template).match
    beginning, _, name = template.removesuffix("...}").rpartition("{")

    def match(path: str) -> dict[str, str] | None:
        return {name: path.removeprefix(beginning)} if path.startswith(beginning) else None

    return match


def _with_twin(route: HubRoute) -> list[HubRoute]:
    if not route.path.startswith("/api/"):
        return [route]
    twin = f"/ajax-api/{route.path.removeprefix('/api/')}"
    return [route, HubRoute(twin, route.methods, route.needs, route.handler, route.stream)]
