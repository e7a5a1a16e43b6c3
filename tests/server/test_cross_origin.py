"""Pages of other origins: asked for beforehand, let in by name, able to read every answer, errors among them."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from penstock.config import load_settings
from penstock.errors import ConfigError
from penstock.server.connection.fast_path import MAX_FAST_BYTES
from server.asgi import Bench, is_error, raising
from server.fast_path_bench import BODY, answered, fast_path
from support.wire import connect, request

APP = "https://app.example.com"
ROWS = json.loads(BODY)
READABLE = {
    "access-control-allow-origin": APP,
    "access-control-allow-credentials": "true",
    "vary": "Origin",
}  # fmt: skip
Made = Callable[..., Bench]


@pytest.fixture
async def make(identity_onnx_package: Path) -> AsyncIterator[Made]:
    benches = []

    def made(*origins: str, **options: Any) -> Bench:
        benches.append(Bench(identity_onnx_package, cors_origins=origins, **options))
        return benches[-1]

    yield made
    for bench in benches:
        await bench.close()


def may_read(answer: httpx.Response, **wanted: str) -> None:
    """The browser hands this answer to the page."""
    assert {name: answer.headers.get(name) for name in READABLE} == {**READABLE, **wanted}
    exposed = answer.headers["access-control-expose-headers"].lower()
    for name in ("x-request-id", "server-timing", "x-model-name", "x-model-version", "retry-after"):
        assert name in exposed


def asks(method: str = "POST", origin: str = APP, **more: str) -> dict[str, str]:
    return {"origin": origin, "access-control-request-method": method, **more}


@pytest.mark.parametrize("path", ["/invocations", "/models/m/invocations", "/models", "/metrics", "/docs", "/nothing"])
async def test_a_preflight_is_answered_without_a_token_on_every_path(make: Made, path: str) -> None:
    bench = make(APP, token="secret")
    bench.serve()
    async with bench.open() as http:
        wanted = "authorization, content-type, x-request-id, traceparent"
        answer = await http.options(path, headers=asks(**{"access-control-request-headers": wanted}))
    assert (answer.status_code, answer.content) == (204, b"")
    assert "content-length" not in answer.headers
    assert answer.headers.get_list("access-control-allow-origin") == [APP], "browsers take one alone"
    assert answer.headers["access-control-allow-headers"] == wanted
    assert answer.headers["access-control-allow-methods"] == "GET, HEAD, POST"
    assert set(answer.headers.get_list("vary")) == {"Origin", "Access-Control-Request-Headers"}
    assert bench.count("ok") == 0


@pytest.mark.parametrize("origins", [(), (APP,)])
@pytest.mark.parametrize(
    "origin", ["https://other.example.com", f"{APP}.evil.example", "http://app.example.com", "null"]
)
async def test_a_preflight_of_another_origin_is_refused_and_says_how_to_let_it_in(
    make: Made, origins: tuple[str, ...], origin: str
) -> None:
    bench = make(*origins, token="secret")
    bench.serve()
    async with bench.open() as http:
        answer = await http.options("/invocations", headers=asks(origin=origin))
    is_error(answer, 403, "PERMISSION_DENIED")
    assert ("PENSTOCK_CORS_ORIGIN='*'" if origin == "null" else f"PENSTOCK_CORS_ORIGIN={origin}") in answer.text
    assert "access-control-allow-origin" not in answer.headers


async def test_an_options_request_that_no_browser_sends_is_what_it_was(make: Made) -> None:
    bench = make(APP)
    bench.serve()
    async with bench.open() as http:
        for headers in ({}, {"origin": APP}, {"access-control-request-method": "POST"}):
            is_error(await http.options("/invocations", headers=headers), 405, "BAD_REQUEST")


async def test_every_answer_may_be_read_errors_too(make: Made) -> None:
    bench = make(APP, token="secret", max_body_bytes=2048)
    bench.serve()
    bench.serve("explodes", raising(ZeroDivisionError("x")))
    mine = {"origin": APP, "authorization": "Bearer secret"}
    async with bench.open() as http:
        for status, method, path, more in (
            (200, "POST", "/models/m/invocations", {"json": ROWS}),
            (200, "GET", "/models", {}),
            (200, "GET", "/readyz", {}),
            (400, "POST", "/models/m/invocations", {"content": b"{"}),
            (400, "POST", "/models/explodes/invocations", {"json": ROWS}),
            (404, "POST", "/models/none/invocations", {"json": ROWS}),
            (404, "GET", "/nothing", {}),
            (405, "GET", "/invocations", {}),
            (413, "POST", "/models/m/invocations", {"content": b"x" * 5000}),
        ):
            answer = await http.request(method, path, headers=mine, **more)
            assert answer.status_code == status, answer.text
            may_read(answer)
        answer = await http.post("/models/m/invocations", headers={"origin": APP}, json=ROWS)
        is_error(answer, 401, "UNAUTHENTICATED")
        may_read(answer)


async def test_our_own_failures_may_be_read(make: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    bench = make(APP)
    bench.serve()
    async with bench.open() as http:
        monkeypatch.setattr("penstock.server.admin.model_endpoints._summary", None)
        answer = await http.get("/models", headers={"origin": APP})
        is_error(answer, 500, "INTERNAL_ERROR")
        may_read(answer)


async def test_other_pages_and_programs_get_answers_that_no_page_reads(make: Made) -> None:
    bench = make(APP)
    bench.serve()
    async with bench.open() as http:
        for headers in ({}, {"origin": "https://other.example.com"}):
            answer = await http.post("/invocations", json=ROWS, headers=headers)
            assert answer.status_code == 200
            assert "access-control-allow-origin" not in answer.headers
            assert answer.headers["vary"] == "Origin", "a cache must not hand it to the page of the other"


async def test_all_origins_are_let_in_without_credentials(make: Made) -> None:
    bench = make("*")
    bench.serve()
    async with bench.open() as http:
        for answer in (
            await http.options("/invocations", headers=asks(origin="null")),
            await http.post("/invocations", json=ROWS, headers={"origin": "https://anybody.example"}),
        ):
            assert answer.headers.get_list("access-control-allow-origin") == ["*"]
            assert "access-control-allow-credentials" not in answer.headers


async def test_without_the_setting_no_answer_has_such_headers(make: Made) -> None:
    bench = make()
    bench.serve()
    async with bench.open() as http:
        answer = await http.post("/invocations", json=ROWS, headers={"origin": APP})
    assert not [name for name in answer.headers if name.startswith("access-control") or name == "vary"]


async def test_the_fast_path_answers_pages_and_the_preflight_passes_by_it(make: Made) -> None:
    """What both paths answer is compared in test_both_paths."""
    bench = make(APP)
    bench.serve()
    bench.open()
    protocol, wire = connect(bench.app)
    protocol.data_received(request(b"", f"origin: {APP}", "access-control-request-method: POST", method="OPTIONS"))
    await answered(wire)
    for count in (2, 3):
        protocol.data_received(request(BODY, f"origin: {APP}"))
        preflight, first, *more = await answered(wire, count)
    assert preflight[0].startswith("HTTP/1.1 204")
    assert first[0].startswith("HTTP/1.1 200")
    assert more == [first]
    assert READABLE.items() <= first[1].items()
    assert ("taken", "") in fast_path(bench), "the first one waits for a library"


async def test_refusals_from_the_head_alone_may_be_read(make: Made) -> None:
    bench = make(APP)
    bench.serve().concurrency_limit.limit = 0
    bench.open()
    protocol, wire = connect(bench.app)
    for count in (1, 2):  # the first one the usual way, which raises the alert
        protocol.data_received(request(BODY, f"origin: {APP}"))
        refused = (await answered(wire, count))[-1]
        assert refused[0].startswith("HTTP/1.1 429")
        assert READABLE.items() <= refused[1].items()
        assert "retry-after" in refused[1]
    assert protocol._load_shedder is not None
    assert protocol._load_shedder.alerted


async def test_a_body_with_a_preflight_is_not_taken_for_a_request(make: Made) -> None:
    bench = make(APP)
    bench.serve()
    async with bench.open() as http:
        answer = await http.request("OPTIONS", "/invocations", headers=asks(), content=b"x" * MAX_FAST_BYTES)
        assert answer.headers["connection"] == "close"
        odd = asks(**{"access-control-request-headers": "x" * 2000})
        assert "access-control-allow-headers" not in (await http.options("/invocations", headers=odd)).headers


@pytest.mark.parametrize(
    ("flags", "environ"),
    [
        ({"cors_origin": (f"{APP}/", "http://localhost:3000")}, {}),
        ({}, {"PENSTOCK_CORS_ORIGIN": f"{APP} http://localhost:3000"}),
        ({}, {"PENSTOCK_CORS_ORIGIN": f"{APP}, http://localhost:3000"}),
    ],
)
def test_the_setting_is_a_list_in_a_flag_or_a_variable(flags: dict[str, Any], environ: dict[str, str]) -> None:
    settings, _ = load_settings(flags, environ)
    assert settings.cors_origin == (APP, "http://localhost:3000")


def test_the_setting_names_itself_and_what_would_do(tmp_path: Path) -> None:
    file = tmp_path / "penstock.toml"
    file.write_text('cors_origin = ["app.example.com"]')
    with pytest.raises(ConfigError, match=rf"cors_origin .*penstock\.toml.* as {APP}"):
        load_settings({}, {}, file)
