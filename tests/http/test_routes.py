"""The table of routes: paths to parameters, and requests to endpoints."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.routing import compile_path

from penstock.http.routes import Endpoint, PathMatcher, RouteTable

TEMPLATES = (
    "/invocations",
    "/models/{name}/invocations",
    "/models/{name}/versions/{version}/invocations",
    "/",
    "/a/{b}",
)


@pytest.mark.parametrize(
    ("path", "parameters"),
    [
        ("/invocations", {}),
        ("/models/a b/invocations", {"name": "a b"}),
        ("/models/m/versions/1/invocations", {"name": "m", "version": "1"}),
        ("/models//invocations", None),
        ("/models/m/versions//invocations", None),
        ("/invocations/", None),
        ("invocations", None),
        ("/models/{name}/invocations", {"name": "{name}"}),
        ("/invocations\n", None),
        ("", None),
    ],
)
def test_parameters_are_whole_segments(path: str, parameters: dict[str, str] | None) -> None:
    assert PathMatcher(*TEMPLATES).match(path) == parameters


@given(st.lists(st.sampled_from(["", "models", "versions", "invocations", "a", "{name}", "x.y", "é"]), max_size=7))
def test_paths_match_as_they_do_in_starlette(segments: list[str]) -> None:
    path = "/".join(segments)
    for template in TEMPLATES:
        found = compile_path(template)[0].match(path)
        assert PathMatcher(template).match(path) == (None if found is None else found.groupdict())


def test_no_two_requests_share_parameters() -> None:
    matcher = PathMatcher("/invocations")
    first = matcher.match("/invocations")
    assert first is not None
    first["name"] = "m"
    assert matcher.match("/invocations") == {}


async def _handler(request: object) -> None: ...


READ = Endpoint("/models/{name}", ("GET",), "predict", _handler, admin_only=True)
WRITE = Endpoint("/models/{name}", ("PUT", "DELETE"), "predict", _handler)
TABLE = RouteTable([READ, WRITE])


@pytest.mark.parametrize(
    ("method", "endpoint"), [("GET", READ), ("HEAD", READ), ("PUT", WRITE), ("DELETE", WRITE), ("POST", READ)]
)
def test_the_method_chooses_among_endpoints_of_one_path(method: str, endpoint: Endpoint) -> None:
    assert TABLE.find(method, "/models/m") == (endpoint, {"name": "m"})


def test_a_path_that_no_route_has_is_not_found() -> None:
    assert TABLE.find("GET", "/models") is None


def test_starlette_gets_the_same_routes_without_those_for_administration() -> None:
    assert [route.methods for route in TABLE.routes(admin=True)] == [{"GET", "HEAD"}, {"PUT", "DELETE"}]
    assert [route.methods for route in TABLE.routes(admin=False)] == [{"PUT", "DELETE"}]
