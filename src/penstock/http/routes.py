"""The table of a server's routes: the one place that says which paths there are, who may ask them and what answers.

The table feeds all that has to know: Starlette's matcher, the check of access ahead of it, the OpenAPI document, and
the test that every path is documented.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from starlette.routing import Route

from penstock.access.policy import Action


class PathMatcher:
    """Finds the parameters of paths that follow one of several templates, as `/models/{name}/invocations`. A parameter
    is a whole segment, and not empty, as Starlette has it."""

    def __init__(self, *templates: str) -> None:
        self._constant = frozenset(t for t in templates if "{" not in t)
        self._by_length: dict[int, list[tuple[str, ...]]] = {}
        for template in templates:
            if template not in self._constant:
                segments = tuple(template.split("/"))
                self._by_length.setdefault(len(segments), []).append(segments)

    def match(self, path: str) -> dict[str, str] | None:
        """The parameters of a path, none for a template without any; None for a path that follows no template."""
        if path in self._constant:
            return {}
        given = path.split("/")
        for segments in self._by_length.get(len(given), ()):
            found = _parameters(segments, given)
            if found is not None:
                return found
        return None


def _parameters(segments: tuple[str, ...], given: list[str]) -> dict[str, str] | None:
    found = {}
    for segment, value in zip(segments, given, strict=True):
        if segment[:1] == "{":
            if not value:
                return None
            found[segment[1:-1]] = value
        elif segment != value:
            return None
    return found


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One route. `handler` is what Starlette takes for one: a function of a request, or an ASGI application. `summary`
    is its line in the OpenAPI document, empty where it is not there as it stands. Where a server has a port for its
    administration, `admin_only` is answered there alone."""

    path: str
    methods: tuple[str, ...]
    action: Action
    handler: Any
    summary: str = ""
    admin_only: bool = False


class RouteTable:
    """All endpoints, in the order in which they are looked through; the first that fits answers."""

    def __init__(self, endpoints: Iterable[Endpoint]) -> None:
        self._rows = [(PathMatcher(endpoint.path), endpoint) for endpoint in endpoints]

    def __iter__(self) -> Iterator[Endpoint]:
        return (endpoint for _, endpoint in self._rows)

    def find(self, method: str, path: str) -> tuple[Endpoint, dict[str, str]] | None:
        """The endpoint of a request, and the parameters of its path. One that has the path and not the method is better
        than none: it is the one whose caller is told so."""
        partial = None
        for matcher, endpoint in self._rows:
            parameters = matcher.match(path)
            if parameters is None:
                continue
            if method in endpoint.methods or (method == "HEAD" and "GET" in endpoint.methods):
                return endpoint, parameters
            partial = partial or (endpoint, parameters)
        return partial

    def routes(self, *, admin: bool) -> list[Route]:
        """The same as Starlette's routes, with those for administration or without."""
        return [
            Route(endpoint.path, endpoint.handler, methods=list(endpoint.methods))
            for endpoint in self
            if admin or not endpoint.admin_only
        ]

    def __repr__(self) -> str:
        return f"<RouteTable of {len(self._rows)} endpoints>"
