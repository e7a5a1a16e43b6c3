"""The table of a server's routes: the one place that says which paths there are, who may ask them and what answers.

The table feeds all that has to know: Starlette's matcher, the check of access ahead of it, the OpenAPI document, and
the test that every path is documented.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

from starlette.routing import Route

from penstock.access.policy import GatewayNeeds


class PathMatcher:
    """Finds the parameters of paths that follow one of several templates, as `/models/{name}/invocations`. A parameter
    is a whole segment, and not empty, as Starlette has it."""

    def __init__(self, *templates: str) -> None:
        self._constant = frozenset(t for t in templates if "{" not in t)
        self._by_length: dict[int, list[_Template]] = {}
        for template in templates:
            if template not in self._constant:
                segments = template.split("/")
                self._by_length.setdefault(len(segments), []).append(_Template.of(segments))

    def match(self, path: str) -> dict[str, str] | None:
        """The parameters of a path, none for a template without any; None for a path that follows no template."""
        if path in self._constant:
            return {}
        segments = path.split("/")
        for template in self._by_length.get(len(segments), ()):
            if template.literals_of(segments) == template.literals:
                found = {}
                for name, place in template.parameters:
                    if not segments[place]:
                        break
                    found[name] = segments[place]
                else:
                    return found
        return None


@dataclass(frozen=True, slots=True)
class _Template:
    """A template for paths of as many segments. It is matched for every prediction, hence by two comparisons: the
    literals of a path, picked by `literals_of`, are its own `literals`; `parameters` are names with their places."""

    literals_of: Callable[[list[str]], tuple[str, ...]]
    literals: tuple[str, ...]
    parameters: tuple[tuple[str, int], ...]

    @classmethod
    def of(cls, segments: list[str]) -> _Template:
        parameters = tuple((text[1:-1], place) for place, text in enumerate(segments) if text[:1] == "{")
        taken = {place for _, place in parameters}
        # The first segment, which is empty, is picked twice: of one item alone, itemgetter makes no tuple.
        pick = itemgetter(0, *(place for place in range(len(segments)) if place not in taken))
        return cls(pick, pick(segments), parameters)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One route. `needs` is what its caller must have, and `handler` what Starlette takes for one: a function of a
    request, or an ASGI application. `summary` is its line in the OpenAPI document, empty where it is not there as it
    stands. Where a server has a port for its administration, `admin_only` is answered there alone."""

    path: str
    methods: tuple[str, ...]
    needs: GatewayNeeds
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
