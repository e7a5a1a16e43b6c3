"""What no client of good will sends: each is a 400 or a 404 in MLflow's form, at once, and never a 5xx."""

from __future__ import annotations

import re
from typing import Any

import httpx

from hub.conftest import API, HubCalls
from penstock.hub.handlers.table import ROUTES

SEARCHES: list[tuple[str, str, dict[str, Any], str]] = [
    ("POST", "runs/search", {"experiment_ids": ["0"]}, "params.p = 'x'"),
    ("POST", "experiments/search", {"max_results": 1}, "name = 'x'"),
    ("POST", "logged-models/search", {"experiment_ids": ["0"]}, "params.p = 'x'"),
    ("GET", "registered-models/search", {}, "name = 'x'"),
    ("GET", "model-versions/search", {}, "name = 'x'"),
]


async def search(hub: HubCalls, method: str, path: str, content: dict[str, Any]) -> httpx.Response:
    return await (hub.post(path, **content) if method == "POST" else hub.get(path, **content))


def assert_refused(answer: httpx.Response, *, saying: str = "") -> None:
    assert (answer.status_code, answer.json()["error_code"]) == (400, "INVALID_PARAMETER_VALUE"), answer.text
    assert saying in answer.json()["message"]


async def test_thousands_of_clauses_are_too_many(hub: HubCalls) -> None:
    for method, path, content, clause in SEARCHES:
        clauses = [clause] * (10_000 if method == "POST" else 2000)
        answer = await search(hub, method, path, {**content, "filter": " AND ".join(clauses)})
        assert_refused(answer, saying="a filter has at most 500 comparisons")


async def test_a_page_token_goes_on_with_its_own_query_alone(hub: HubCalls) -> None:
    run_id = await hub.made_run()
    await hub.made_run()
    first: dict[str, Any] = {"experiment_ids": ["0"], "max_results": 1}
    token = (await hub.post("runs/search", **first)).json()["next_page_token"]
    assert len((await hub.post("runs/search", **first, page_token=token)).json()["runs"]) == 1
    another = "belongs to another query"
    others: list[dict[str, Any]] = [
        {"filter": "metrics.m > 0"},
        {"order_by": ["metrics.m"]},
        {"experiment_ids": ["0", "1"]},
    ]
    for more in others:
        assert_refused(await hub.post("runs/search", **{**first, **more, "page_token": token}), saying=another)
    for method, path, content, _ in SEARCHES[1:]:
        assert_refused(await search(hub, method, path, {**content, "page_token": token}), saying=another)
    history = {"run_id": run_id, "metric_key": "m", "page_token": token}
    assert_refused(await hub.get("metrics/get-history", **history), saying=another)
    for odd in ("MTIz", "x", "%", "A" * 100_000):
        assert_refused(await hub.post("runs/search", **first, page_token=odd), saying="none that this server gave")


async def test_numbers_in_words_and_bare_are_read_and_kept_as_mlflow_keeps_them(hub: HubCalls) -> None:
    run_id = await hub.made_run()
    largest = 1.7976931348623157e308
    for step, (text, kept) in enumerate(
        [
            *[(word, "NaN") for word in ("NaN", '"NaN"', '"nan"')],
            *[(word, largest) for word in ("Infinity", "1e999", '"Infinity"', '"inf"', '"+Infinity"', '"1e999"')],
            *[(word, -largest) for word in ("-Infinity", "-1e999", '"-Infinity"', '"-inf"')],
            ("1e308", 1e308),
        ]
    ):
        body = f'{{"run_id": "{run_id}", "key": "m", "value": {text}, "timestamp": 1, "step": {step}}}'
        await hub.client.post(f"{API}runs/log-metric", content=body, headers={"content-type": "application/json"})
        (told,) = (await hub.get("runs/get", run_id=run_id)).json()["run"]["data"]["metrics"]
        assert (told.get("step", 0), told["value"]) == (step, kept), text


async def test_whole_numbers_are_of_64_bits(hub: HubCalls) -> None:
    run_id = await hub.made_run()
    for field in ("timestamp", "step"):
        odd: list[Any] = ["NaN", "Infinity", 2**63, -(2**63) - 1, 1.5, "0x10", True, [1], {}, 1e300]
        for value in odd:
            point = {"run_id": run_id, "key": "m", "value": 1, "timestamp": 1, "step": 1, field: value}
            assert_refused(await hub.post("runs/log-metric", **point), saying=f"'{field}'")


BODIES = [
    ("application/json", b"{"),
    ("application/json", b"[" * 50_000),
    ("application/json", b'{"run_id":' * 3000),
    ("application/json", b"\xff\xfe{}"),
    ("application/json", b"[1]"),
    ("text/plain", b"{}"),
    ("", b"{}"),
]


async def test_no_body_is_a_fault_of_ours(hub: HubCalls) -> None:
    for row in ROUTES:
        for method in row.methods:
            if method == "GET" or row.stream is not None:
                continue
            path = re.sub(r"\{[^}]*\}", "x", row.path)
            for kind, body in BODIES:
                answer = await hub.client.request(method, path, content=body, headers={"content-type": kind})
                assert answer.status_code in (200, 400, 404, 501), f"{method} {path}: {answer.text}"
                assert answer.status_code == 200 or {"error_code", "message"} <= set(answer.json())
