"""The queries of MLflow's page, answered."""

from __future__ import annotations

from typing import Any

from hub.conftest import HubCalls

GET_RUN = """query GetRun($data: MlflowGetRunInput!) @component(name: "x") { mlflowGetRun(input: $data) {
  apiError { code message } run { info { runName startTime endTime } experiment { name }
  modelVersions { name version status } data { metrics { key value step } } } } }"""
SEARCH = """query SearchRuns($data: MlflowSearchRunsInput!) { mlflowSearchRuns(input: $data) {
  apiError { code } runs { info { runName } experiment { experimentId } } } }"""
POINTS = """query P($data: I!) { mlflowGetMetricHistoryBulkInterval(input: $data) {
  __typename metrics { runId key value step timestamp } apiError { code } } }"""
EXPERIMENT = (
    "query E($input: I!) { mlflowGetExperiment(input: $input) { apiError { code message } experiment { name } } }"
)


async def asked(hub: HubCalls, query: str, variable: str = "data", **given: Any) -> Any:
    answer = await hub.client.post("/graphql", json={"query": query, "variables": {variable: given}})
    assert answer.status_code == 200, answer.text
    (content,) = answer.json()["data"].values()
    return content


async def test_a_run_with_the_versions_that_came_from_it(hub: HubCalls) -> None:
    run_id = await hub.made_run(run_name="first")
    await hub.post("runs/log-metric", run_id=run_id, key="m", value="NaN", timestamp=5, step=3)
    await hub.post("registered-models/create", name="fraud")
    source = f"mlflow-artifacts:/0/{run_id}/artifacts/model"
    await hub.post("model-versions/create", name="fraud", source=source, run_id=run_id)
    assert await asked(hub, GET_RUN, runId=run_id) == {
        "apiError": None,
        "run": {
            "info": {"runName": "first", "startTime": "1", "endTime": None},
            "experiment": {"name": "Default"},
            "modelVersions": [{"name": "fraud", "version": "1", "status": "READY"}],
            "data": {"metrics": [{"key": "m", "value": None, "step": "3"}]},
        },
    }


async def test_searches_samples_and_experiments(hub: HubCalls) -> None:
    run_id = await hub.made_run(run_name="first")
    await hub.post("runs/log-metric", run_id=run_id, key="m", value=1.5, timestamp=5, step=3)
    runs = await asked(hub, SEARCH, experimentIds=["0"], filter="metrics.m > 1", runViewType="ACTIVE_ONLY")
    assert runs["runs"] == [{"info": {"runName": "first"}, "experiment": {"experimentId": "0"}}]
    points = await asked(hub, POINTS, runIds=[run_id], metricKey="m", maxResults=10)
    assert points["metrics"] == [{"runId": run_id, "key": "m", "value": 1.5, "step": "3", "timestamp": "5"}]
    assert await asked(hub, EXPERIMENT, "input", experimentId="0") == {
        "apiError": None,
        "experiment": {"name": "Default"},
    }


async def test_an_error_of_the_store_is_part_of_the_answer(hub: HubCalls) -> None:
    answer = await asked(hub, EXPERIMENT, "input", experimentId="77")
    assert (answer["apiError"]["code"], answer["experiment"]) == ("RESOURCE_DOES_NOT_EXIST", None)
    refused = await hub.client.post("/graphql", json={"query": "query A { mlflowListArtifacts { x } }"})
    assert (refused.status_code, refused.json()["error_code"]) == (400, "INVALID_PARAMETER_VALUE")
