"""Experiments, runs and metrics over MLflow's REST."""

from __future__ import annotations

import asyncio
import gzip

import httpx
import pytest

from hub.conftest import API, HubCalls

INVALID = (400, "INVALID_PARAMETER_VALUE")


def code(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json().get("error_code", "")


async def test_a_run_is_logged_and_found(hub: HubCalls) -> None:
    experiment = (await hub.post("experiments/create", name="trees")).json()["experiment_id"]
    run_id = await hub.made_run(experiment, run_name="first", tags=[{"key": "mlflow.user", "value": "ann"}])
    metrics = [{"key": "loss", "value": value, "timestamp": 5, "step": step} for step, value in ((0, 0.5), (1, "NaN"))]
    params, tags = [{"key": "depth", "value": "3"}], [{"key": "team", "value": "x"}]
    assert (await hub.post("runs/log-batch", run_id=run_id, metrics=metrics, params=params, tags=tags)).json() == {}
    ended = await hub.post("runs/update", run_id=run_id, status="FINISHED", end_time="9")
    assert ended.json()["run_info"]["status"] == "FINISHED"
    run = (await hub.get("runs/get", run_id=run_id)).json()["run"]
    assert run["data"] == {
        "metrics": [{"key": "loss", "value": "NaN", "timestamp": 5, "step": 1}],
        "params": params,
        "tags": [
            {"key": k, "value": v} for k, v in (("mlflow.runName", "first"), ("mlflow.user", "ann"), ("team", "x"))
        ],
    }
    assert run["info"] == {
        "run_id": run_id,
        "run_uuid": run_id,
        "run_name": "first",
        "experiment_id": experiment,
        "user_id": "ann",
        "status": "FINISHED",
        "start_time": 1,
        "end_time": 9,
        "artifact_uri": f"mlflow-artifacts:/{experiment}/{run_id}/artifacts",
        "lifecycle_stage": "active",
    }
    found = (await hub.post("runs/search", experiment_ids=[experiment], filter="params.depth = '3'")).json()
    assert found == {"runs": [run]}


async def test_the_answer_follows_every_change(hub: HubCalls) -> None:
    run_id = await hub.made_run()
    for value in ("1", "2"):
        await hub.post("runs/set-tag", run_id=run_id, key="t", value=value)
        tags = (await hub.get("runs/get", run_id=run_id)).json()["run"]["data"]["tags"]
        assert {"key": "t", "value": value} in tags


async def test_histories_samples_and_bulk(hub: HubCalls) -> None:
    run_id = await hub.made_run()
    metrics = [{"key": "m", "value": step, "timestamp": step, "step": step} for step in range(100)]
    await hub.post("runs/log-batch", run_id=run_id, metrics=metrics)
    history = (await hub.get("metrics/get-history", run_id=run_id, metric_key="m")).json()
    assert history == {"metrics": metrics}
    page = (await hub.get("metrics/get-history", run_id=run_id, metric_key="m", max_results=30)).json()
    assert (len(page["metrics"]), bool(page["next_page_token"])) == (30, True)
    ajax = "/ajax-api/2.0/mlflow/metrics/"
    sampled = (await hub.get(f"{ajax}get-history-bulk-interval", run_ids=run_id, metric_key="m", max_results=5)).json()
    assert [(m["step"], m["run_id"]) for m in sampled["metrics"]] == [(s, run_id) for s in (0, 20, 40, 60, 99)]
    bulk = (await hub.get(f"{ajax}get-history-bulk", run_id=run_id, metric_key="m")).json()
    assert len(bulk["metrics"]) == 100


@pytest.mark.parametrize(
    ("path", "content", "expected"),
    [
        ("experiments/create", {}, INVALID),
        ("experiments/create", {"name": "Default"}, (400, "RESOURCE_ALREADY_EXISTS")),
        ("experiments/delete", {"experiment_id": "77"}, (404, "RESOURCE_DOES_NOT_EXIST")),
        ("runs/create", {"experiment_id": "77"}, (404, "RESOURCE_DOES_NOT_EXIST")),
        ("runs/create", {"experiment_id": "0", "start_time": "soon"}, INVALID),
        ("runs/create", {"experiment_id": "0", "tags": [{"value": "x"}]}, INVALID),
        ("runs/search", {"experiment_ids": ["0"], "filter": "metrics.a = 'x"}, INVALID),
        ("runs/search", {"experiment_ids": ["0"], "max_results": 0}, INVALID),
        ("runs/search", {"experiment_ids": ["0"], "max_results": 50_001}, INVALID),
        ("runs/search", {"experiment_ids": ["0"], "page_token": "x"}, INVALID),
        ("runs/search", {"experiment_ids": ["0"], "run_view_type": "SOME"}, INVALID),
        ("runs/log-metric", {"run_id": "x", "key": "a", "value": 1, "timestamp": 1}, (404, "RESOURCE_DOES_NOT_EXIST")),
        ("runs/log-metric", {"run_id": "x", "key": "a", "timestamp": 1}, INVALID),
        (
            "runs/log-metric",
            {"run_id": "x", "key": "../a", "value": 1, "timestamp": 1},
            INVALID,
        ),
        ("runs/log-metric", {"run_id": "x", "key": "a", "value": 1, "timestamp": -1}, INVALID),
        ("runs/log-batch", {"run_id": "x", "metrics": {"key": "a"}}, INVALID),
        ("runs/log-batch", {"run_id": "x", "params": [{"key": "a"}] * 101}, INVALID),
        ("runs/set-tag", {"run_id": "x", "key": "k" * 251, "value": "v"}, INVALID),
        ("traces", {}, (404, "ENDPOINT_NOT_FOUND")),
    ],
)
async def test_mistakes_are_answered_in_mlflows_words(
    hub: HubCalls, path: str, content: dict[str, object], expected: tuple[int, str]
) -> None:
    assert code(await hub.post(path, **content)) == expected


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"{", "the body is not JSON: expecting property name enclosed in double quotes at line 1, column 2."),
        (b'{"name": "t"}x', "the body is not JSON: extra data at line 1, column 14."),
        (b'{"name": "t",\n "x": nan}', "the body is not JSON: expecting value at line 2, column 7."),
        (b'{"name": "\xff"}', "the body is not JSON: it is not UTF-8 from byte 11 on."),
        (b"[" * 100_000, "the body is not JSON that can be read: it is nested too deep."),
        (
            b'{"name": ' + b"1" * 5000 + b"}",
            "the body is not JSON that can be read: a number in it has too many digits.",
        ),
        (b'["t"]', "the body is JSON, but no object."),
    ],
)
async def test_a_body_that_is_no_json_is_told_where_it_stops_being_some(hub: HubCalls, body: bytes, why: str) -> None:
    """With the status and code that MLflow has for it, and the beginning of its sentence."""
    place = f"{API}experiments/create"
    answer = await hub.client.post(place, content=body, headers={"Content-Type": "application/json"})
    assert code(answer) == INVALID
    assert answer.json()["message"] == f"Missing value for required parameter 'name': {why}"


async def test_a_compressed_body_is_told_that_it_is(hub: HubCalls) -> None:
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    answer = await hub.client.post(f"{API}experiments/create", content=gzip.compress(b'{"name": "t"}'), headers=headers)
    assert code(answer) == INVALID
    assert answer.json()["message"].endswith(
        "'name': the body has Content-Encoding: gzip, which is not read here; send it as plain JSON."
    )
    answer = await hub.client.post(
        f"{API}experiments/create", content=b"", headers={"Content-Type": "application/json"}
    )
    assert "See the API docs" in answer.json()["message"]


async def test_bodies_that_are_no_json_miss_their_fields(hub: HubCalls) -> None:
    place = "/api/2.0/mlflow/experiments/create"
    for body in (b"{", b"[1]", b"\xff", b"null"):
        answer = await hub.client.post(place, content=body, headers={"Content-Type": "application/json"})
        assert (code(answer), "'name'" in answer.json()["message"]) == (INVALID, True)
    answer = await hub.client.post(place, content=b"name=a", headers={"Content-Type": "text/plain"})
    assert (code(answer)[0], "application/json" in answer.json()["message"]) == (400, True)
    assert (await hub.client.get(place)).status_code == 405


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("runs/log-parameter", r'{"run_id": "RUN", "key": "a", "value": "\ud800"}'),
        ("runs/log-parameter", r'{"run_id": "RUN", "key": "a", "value": "a\u0000b"}'),
        ("runs/log-parameter", r'{"run_id": "\ud800", "key": "a", "value": "b"}'),
        ("runs/log-metric", r'{"run_id": "RUN", "key": "a", "timestamp": 1, "value": 1' + "0" * 400 + "}"),
        (
            "runs/log-inputs",
            r'{"run_id": "RUN", "datasets": [{"dataset": {"name": "n", "digest": "d", "schema": {}}}]}',
        ),
        (
            "runs/log-inputs",
            r'{"run_id": "RUN", "datasets": [{"dataset": {"name": "n", "digest": "d", "schema": [5]}}]}',
        ),
        ("logged-models/m%00x/params", r'{"params": []}'),
    ],
)
async def test_what_nothing_can_keep_is_the_callers_mistake(hub: HubCalls, path: str, body: str) -> None:
    run_id = await hub.made_run()
    content = body.replace("RUN", run_id).encode()
    answer = await hub.client.post(f"{API}{path}", content=content, headers={"Content-Type": "application/json"})
    assert code(answer) == INVALID


async def test_an_escaped_backslash_before_a_number_is_kept(hub: HubCalls) -> None:
    run_id = await hub.made_run()
    await hub.post("runs/log-parameter", run_id=run_id, key="a", value=r"\u0000")
    found = (await hub.get("runs/get", run_id=run_id)).json()["run"]["data"]["params"]
    assert found == [{"key": "a", "value": r"\u0000"}]


async def test_a_query_of_too_many_fields_is_the_callers_mistake(hub: HubCalls) -> None:
    answer = await hub.client.get(f"{API}experiments/get?{'&'.join(['a=1'] * 1001)}")
    assert code(answer) == INVALID


async def test_what_is_out_of_scope_is_not_found_at_once(hub: HubCalls) -> None:
    for path in (
        "/api/3.0/mlflow/traces/search",
        "/v1/traces",
        "/api/2.0/mlflow/webhooks",
        "/api/3.0/mlflow/workspaces",
    ):
        assert (await hub.client.post(path, json={})).status_code == 404


async def test_callers_at_once_share_commits_and_get_their_own_answers(hub: HubCalls) -> None:
    ids = await asyncio.gather(*(hub.made_run(run_name=f"r{number}") for number in range(40)))
    found = await asyncio.gather(*(hub.get("runs/get", run_id=run_id) for run_id in ids))
    assert [answer.json()["run"]["info"]["run_name"] for answer in found] == [f"r{number}" for number in range(40)]


async def test_what_was_asked_is_counted_by_endpoint(hub: HubCalls) -> None:
    await hub.made_run()
    await hub.get("runs/get", run_id="ab12cd")
    text = (await hub.get("/metrics")).text
    created = 'penstock_hub_request_seconds_count{endpoint="/api/2.0/mlflow/runs/create",status="2xx"} 1.0'
    missed = 'penstock_hub_request_seconds_count{endpoint="/api/2.0/mlflow/runs/get",status="4xx"} 1.0'
    assert created in text
    assert missed in text
    assert "ab12cd" not in text


async def test_the_server_tells_what_it_is(hub: HubCalls) -> None:
    assert (await hub.get("/health")).text == "OK"
    assert (await hub.get("/version")).text.startswith("3.")
    assert (await hub.get("/api/3.0/mlflow/server-info")).json()["artifact_serving_enabled"] is True
