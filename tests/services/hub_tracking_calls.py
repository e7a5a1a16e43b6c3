"""Run by the MLflow environment's Python: the cases of MLflow's own test of its tracking server over REST, and the
fluent API as people use it, against the hub at MLFLOW_TRACKING_URI. Prints a line for each case that fails, and how
many passed."""

from __future__ import annotations

import json
import logging
import math
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

warnings.simplefilter("ignore")

import mlflow  # noqa: E402
import requests  # noqa: E402
from mlflow.entities import (  # noqa: E402
    Dataset,
    DatasetInput,
    InputTag,
    LoggedModelInput,
    LoggedModelOutput,
    Metric,
    Param,
    RunTag,
    ViewType,
)
from mlflow.exceptions import MlflowException  # noqa: E402

logging.disable(logging.WARNING)
client = mlflow.MlflowClient()
URL = mlflow.get_tracking_uri()
CASES: list[Callable[[], None]] = []


def case(function: Callable[[], None]) -> Callable[[], None]:
    CASES.append(function)
    return function


def ask(method: str, path: str, **more: Any) -> requests.Response:
    return requests.request(method, f"{URL}{path}", timeout=30, **more)


def refused(words: str, path: str, content: dict[str, Any], method: str = "POST", **more: Any) -> None:
    """With 400, INVALID_PARAMETER_VALUE and these words."""
    kept = {"json": content} if method == "POST" else {"params": content}
    answer = ask(method, path if path.startswith("/") else f"/api/2.0/mlflow/{path}", **kept, **more)
    assert answer.status_code == 400, (path, content, answer.text)
    assert answer.json()["error_code"] == "INVALID_PARAMETER_VALUE", answer.text
    assert words in answer.json()["message"], (words, answer.text)


def raises(words: str, call: Callable[..., Any], *arguments: Any, **named: Any) -> None:
    told = ""
    try:
        call(*arguments, **named)
    except MlflowException as error:
        told = error.message
    assert words in told, (call, arguments, words, told)


def experiment(name: str) -> str:
    return str(client.create_experiment(f"{name} {time.time_ns()}"))


def a_run(**more: Any) -> str:
    return str(client.create_run(experiment("of a run"), **more).info.run_id)


@case
def experiments_are_made_read_and_found() -> None:
    made = client.create_experiment("My Experiment", artifact_location="s3://b/x", tags={"k1": "v1", "k2": "v2"})
    found = client.get_experiment(made)
    assert (found.name, found.artifact_location, found.tags) == ("My Experiment", "s3://b/x", {"k1": "v1", "k2": "v2"})
    assert client.get_experiment_by_name("My Experiment").experiment_id == made
    assert client.get_experiment_by_name("nobody") is None
    client.delete_experiment(made)
    names = {view: {e.name for e in client.search_experiments(view_type=view)} for view in (1, 2, 3)}
    assert "My Experiment" not in names[ViewType.ACTIVE_ONLY]
    assert "My Experiment" in names[ViewType.DELETED_ONLY] & names[ViewType.ALL]
    assert client.get_experiment(made).lifecycle_stage == "deleted"
    client.restore_experiment(made)
    assert client.get_experiment(made).lifecycle_stage == "active"
    client.rename_experiment(made, "Its new name")
    assert client.get_experiment(made).name == "Its new name"


@case
def pages_of_experiments_have_tokens_until_the_last() -> None:
    for name in ("pa", "pb", "pc"):
        client.create_experiment(name, tags={"page": "x"})
    found, token = [], None
    while True:
        page = client.search_experiments(filter_string="tags.page = 'x'", max_results=1, page_token=token)
        found += [e.name for e in page]
        token = page.token
        if not token:
            break
    assert found == ["pc", "pb", "pa"]
    assert [e.name for e in client.search_experiments(filter_string="tag.page ILIKE 'X'", order_by=["name"])] == [
        "pa", "pb", "pc",
    ]  # fmt: skip


@case
def fields_of_wrong_types_are_refused_by_name() -> None:
    run_id = a_run()
    refused("Invalid value 123 for parameter 'name'", "experiments/create", {"name": 123})
    refused("Missing value for required parameter 'name'", "experiments/create", {})
    place = {"name": "x", "artifact_location": 9.0}
    refused("Invalid value 9.0 for parameter 'artifact_location'", "experiments/create", place)
    refused("Invalid value \"5\" for parameter 'tags'", "experiments/create", {"name": "y", "tags": "5"})
    metric = {"run_id": run_id, "key": "m", "value": 41, "timestamp": 59, "step": 26}
    for field, value, words in (
        ("run_id", 31, "Invalid value 31 for parameter 'run_id' supplied"),
        ("key", 31, "Invalid value 31 for parameter 'key' supplied"),
        ("step", "foo", "Invalid value \"foo\" for parameter 'step' supplied"),
        ("timestamp", "foo", "Invalid value \"foo\" for parameter 'timestamp' supplied"),
        ("run_id", None, "Missing value for required parameter 'run_id'"),
        ("key", None, "Missing value for required parameter 'key'"),
    ):
        refused(words, "runs/log-metric", {**metric, field: value})
    refused("Invalid value 31 for parameter 'run_id'", "runs/log-parameter", {"run_id": 31, "key": "p", "value": "4"})
    refused("Invalid value 31 for parameter 'key'", "runs/log-parameter", {"run_id": run_id, "key": 31, "value": "4"})
    refused("Invalid value 41 for parameter 'value'", "runs/set-tag", {"run_id": run_id, "key": "p", "value": 41})
    refused("Missing value for required parameter 'key'", "runs/set-tag", {"run_id": run_id, "value": "v"})
    assert ask("POST", "/api/2.0/mlflow/runs/set-tag", json={"run_uuid": run_id, "key": "k", "value": "v"}).ok
    for field in ("metrics", "params", "tags"):
        words = f"Invalid value \"foo\" for parameter '{field}' supplied"
        refused(words, "runs/log-batch", {"run_id": run_id, field: "foo"})
    refused("metrics[0].timestamp", "runs/log-batch", {"run_id": run_id, "metrics": [{"key": "mae", "value": 2.5}]})
    stepless = {"run_id": run_id, "metrics": [{"key": "mae", "value": 2.5, "timestamp": 1}]}
    assert ask("POST", "/api/2.0/mlflow/runs/log-batch", json=stepless).ok
    refused("Missing value for required parameter 'run_id'", "runs/log-inputs", {"datasets": []})
    raises("Invalid value 123456789 for parameter 'max_results'", client.search_runs, ["0"], max_results=123456789)


@case
def a_run_comes_back_with_all_that_it_was_given() -> None:
    tags = {"mlflow.user": "username", "mlflow.source.name": "Hello", "mlflow.parentRunId": "7", "my": "tag"}
    where = experiment("all")
    made = client.create_run(where, start_time=456, run_name="my name", tags=tags)
    for run in (made, client.get_run(made.info.run_id)):
        info = run.info
        assert (info.experiment_id, info.user_id, info.start_time, info.run_name) == (where, "username", 456, "my name")
        assert tags.items() <= run.data.tags.items()
    assert [run.info for run in client.search_runs([where])] == [made.info]
    plain = client.get_run(client.create_run(where).info.run_id)
    assert (plain.info.user_id, plain.info.status, plain.info.end_time) == ("unknown", "RUNNING", None)


@case
def what_is_logged_comes_back() -> None:
    run_id = a_run()
    client.log_metric(run_id, key="metric", value=123.456, timestamp=789, step=2)
    for name, value in (("nan", math.nan), ("inf", math.inf), ("-inf", -math.inf)):
        client.log_metric(run_id, key=name, value=value)
    client.log_metric(run_id, key="stepless", value=987.654, timestamp=321)
    client.log_param(run_id, "param", "value")
    client.log_param(run_id, "empty", "")
    client.set_tag(run_id, "taggity", "do-dah")
    client.set_tag(run_id, "empty", "")
    data = client.get_run(run_id).data
    assert (data.metrics["metric"], data.metrics["inf"], data.metrics["-inf"]) == (
        123.456, sys.float_info.max, -sys.float_info.max,
    )  # fmt: skip
    assert math.isnan(data.metrics["nan"])
    assert data.params == {"param": "value", "empty": ""}
    assert {"taggity": "do-dah", "empty": ""}.items() <= data.tags.items()
    (first,) = client.get_metric_history(run_id, "metric")
    assert (first.key, first.value, first.timestamp, first.step) == ("metric", 123.456, 789, 2)
    assert client.get_metric_history(run_id, "stepless")[0].step == 0
    assert client.get_metric_history(run_id, "nobody") == []
    client.log_batch(run_id, [Metric("b", 1.0, 5, 3)], [Param("q", "")], [RunTag("u", "")])
    assert client.get_run(run_id).data.params["q"] == ""
    raises("Changing param values is not allowed", client.log_param, run_id, "param", "other")


@case
def tags_go_and_their_absence_is_told() -> None:
    run_id = a_run(tags={"taggity": "x"})
    client.delete_tag(run_id, "taggity")
    assert "taggity" not in client.get_run(run_id).data.tags
    raises("not found", client.delete_tag, "fake_run_id", "taggity")
    raises("No tag with name: fakeTag", client.delete_tag, run_id, "fakeTag")
    client.delete_run(run_id)
    raises(f"The run {run_id} must be in", client.delete_tag, run_id, "taggity")
    where = experiment("tags")
    client.set_experiment_tag(where, "several lines", "value2\nvalue2")
    client.set_experiment_tag(where, "empty", "")
    assert client.get_experiment(where).tags == {"several lines": "value2\nvalue2", "empty": ""}


@case
def runs_end() -> None:
    run_id = a_run()
    client.set_terminated(run_id)
    assert client.get_run(run_id).info.status == "FINISHED"
    assert client.get_run(run_id).info.end_time <= time.time() * 1000
    client.update_run(run_id, name="name_abc")
    assert (client.get_run(run_id).info.run_name, client.get_run(run_id).info.status) == ("name_abc", "FINISHED")
    client.set_terminated(run_id, "FAILED")
    assert client.get_run(run_id).info.status == "FAILED"


@case
def files_go_up_and_come_down() -> None:
    run_id = a_run()
    with tempfile.TemporaryDirectory() as place:
        file = Path(place, "my.file")
        file.write_text("Hello, World!")
        client.log_artifact(run_id, str(file))
        client.log_artifacts(run_id, place, "dir")
        assert {a.path for a in client.list_artifacts(run_id)} == {"my.file", "dir"}
        assert {a.path for a in client.list_artifacts(run_id, "dir")} == {"dir/my.file"}
        all_of_it = mlflow.artifacts.download_artifacts(run_id=run_id, artifact_path=".")
        assert Path(all_of_it, "dir", "my.file").read_text() == Path(all_of_it, "my.file").read_text()
    refused("Invalid path", "artifacts/list", {"run_id": run_id, "path": "../path"}, "GET")
    refused("Invalid path", "/get-artifact", {"run_id": run_id, "path": "../path"}, "GET")
    ajax = "/ajax-api/2.0/mlflow/upload-artifact"
    for words, query in (
        ("Missing value", {}),
        ("'path'", {"run_uuid": run_id}),
        ("'path'", {"run_uuid": run_id, "path": ""}),
        ("'run_", {"path": "test.txt"}),
        ("Invalid path", {"run_uuid": run_id, "path": "../test.txt"}),
    ):
        answer = ask("POST", ajax, params=query)
        assert (answer.status_code, words in answer.text) == (400, True), (query, answer.text)
    assert ask("POST", ajax, params={"run_uuid": run_id, "path": "test.txt"}, data="hello").ok
    assert ask("GET", "/get-artifact", params={"run_uuid": run_id, "path": "test.txt"}).text == "hello"


@case
def pages_of_runs_are_in_order() -> None:
    where = experiment("pages")
    runs = sorted(client.create_run(where, start_time=1).info.run_id for _ in range(10))
    found, token = [], None
    for size in (4, 4, 2):
        page = client.search_runs([where], max_results=4, page_token=token)
        assert len(page) == size
        found += [run.info.run_id for run in page]
        token = page.token
    assert (found, token) == (runs, None)


@case
def histories_of_several_runs() -> None:
    where = experiment("bulk")
    runs = sorted(client.create_run(where).info.run_id for _ in range(3))
    points = [(1, 2, 10.0), (1, 3, 11.0), (1, 3, 12.0), (2, 3, 12.0)]
    for run_id in runs[:2]:
        for when, step, value in points:
            client.log_metric(run_id, "a", value, when, step)
    bulk, ajax = (
        "/ajax-api/2.0/mlflow/metrics/get-history-bulk",
        "/ajax-api/2.0/mlflow/metrics/get-history-bulk-interval",
    )
    told = [{"key": "a", "timestamp": t, "step": s, "value": v} for t, s, v in points]
    found = ask("GET", bulk, params={"run_id": runs, "metric_key": "a"}).json()["metrics"]
    assert found == [{**point, "run_id": run_id} for run_id in runs[:2] for point in told]
    few = ask("GET", bulk, params={"run_id": runs[0], "metric_key": "a", "max_results": 2}).json()["metrics"]
    assert few == [{**point, "run_id": runs[0]} for point in told[:2]]
    refused("must specify at least one run_id", bulk, {"metric_key": "a"}, "GET")
    many = [f"id_{i}" for i in range(1000)]
    refused("cannot specify more than", bulk, {"run_id": many, "metric_key": "a"}, "GET")
    refused("metric_key", bulk, {"run_id": ["123"]}, "GET")
    ask_for = {"run_ids": ["123"], "metric_key": "a", "max_results": 5}
    refused("Missing value for required parameter 'run_ids'", ajax, {"metric_key": "a"}, "GET")
    refused("100 run_ids", ajax, {"run_ids": many, "metric_key": "a"}, "GET")
    refused("'max_results'", ajax, {**ask_for, "max_results": 0}, "GET")
    refused("Missing value for required parameter 'metric_key'", ajax, {**ask_for, "metric_key": ""}, "GET")
    refused("end_step must be greater than start_step. ", ajax, {**ask_for, "start_step": 1, "end_step": 0}, "GET")
    refused("both must be specified.", ajax, {**ask_for, "start_step": 1}, "GET")


@case
def datasets_and_models_of_runs() -> None:
    where = experiment("inputs")
    run_id = client.create_run(where).info.run_id
    given = DatasetInput(Dataset("name1", "digest1", "type1", "source1"), [InputTag("mlflow.data.context", "training")])
    client.log_inputs(run_id, [given])
    (found,) = client.get_run(run_id).inputs.dataset_inputs
    assert found.to_dictionary() == given.to_dictionary()
    datasets = "/ajax-api/2.0/mlflow/experiments/search-datasets"
    summary = {"experiment_id": where, "name": "name1", "digest": "digest1", "context": "training"}
    assert ask("POST", datasets, json={"experiment_ids": [where]}).json()["dataset_summaries"] == [summary]
    words = "SearchDatasets request must specify at least one experiment_id."
    refused(words, datasets, {})
    refused(words, datasets, {"experiment_ids": []})
    refused(
        "SearchDatasets request cannot specify more than", datasets, {"experiment_ids": [str(i) for i in range(1000)]}
    )
    model = client.create_logged_model(where, name="m", source_run_id=run_id, tags={"a": "1"}, params={"p": "2"})
    client.log_outputs(run_id, [LoggedModelOutput(model.model_id, 3)])
    client.log_inputs(run_id, models=[LoggedModelInput(model.model_id)])
    run = client.get_run(run_id)
    assert [(o.model_id, o.step) for o in run.outputs.model_outputs] == [(model.model_id, 3)]
    assert [m.model_id for m in run.inputs.model_inputs] == [model.model_id]
    client.set_logged_model_tags(model.model_id, {"b": "2"})
    client.delete_logged_model_tag(model.model_id, "a")
    done = client.finalize_logged_model(model.model_id, "READY")
    assert (str(done.status), client.get_logged_model(model.model_id).tags) == ("READY", {"b": "2"})
    client.log_metric(run_id, "loss", 0.5, model_id=model.model_id)
    assert [m.value for m in client.get_logged_model(model.model_id).metrics] == [0.5]
    assert [m.name for m in client.search_logged_models([where], "metrics.loss < 1")] == ["m"]
    client.delete_logged_model(model.model_id)
    raises("not found", client.get_logged_model, model.model_id)


@case
def graphql_answers_what_the_page_asks() -> None:
    where = client.create_experiment("GraphqlTest")
    query = f'query testQuery {{mlflowGetExperiment(input: {{experimentId: "{where}"}}) {{ experiment {{ name }} }}}}'
    answer = ask("POST", "/graphql", json={"query": query, "operationName": "testQuery"})
    assert answer.json()["data"]["mlflowGetExperiment"]["experiment"]["name"] == "GraphqlTest"
    assert answer.json().get("errors") is None
    run_id = client.create_run(where).info.run_id
    for step in range(10):
        client.log_metric(run_id, "m", step, step=step)
    asked = f"""query testQuery {{ mlflowGetMetricHistoryBulkInterval(input: {{
        runIds: ["{run_id}"], metricKey: "m", }}) {{ metrics {{ key value }} }} }}"""
    answer = ask("POST", "/graphql", json={"query": asked, "operationName": "testQuery"})
    told = answer.json()["data"]["mlflowGetMetricHistoryBulkInterval"]["metrics"]
    assert told == [{"key": "m", "value": float(step)} for step in range(10)]
    client.create_registered_model("of graphql")
    client.create_model_version("of graphql", f"runs:/{run_id}/model", run_id)
    asked = f"""query testQuery @component(name: "Test") {{ mlflowGetRun(input: {{runId: "{run_id}"}}) {{ run {{
        info {{ status }} experiment {{ name }} modelVersions {{ name }} }} }} }}"""
    run = ask("POST", "/graphql", json={"query": asked}).json()["data"]["mlflowGetRun"]["run"]
    assert run == {
        "info": {"status": "RUNNING"}, "experiment": {"name": "GraphqlTest"}, "modelVersions": [{"name": "of graphql"}],
    }  # fmt: skip


@case
def what_is_out_of_scope_is_404_at_once() -> None:
    for method, path in (
        ("POST", "/api/3.0/mlflow/traces"), ("GET", "/api/2.0/mlflow/webhooks"), ("GET", "/api/3.0/mlflow/workspaces"),
        ("POST", "/ajax-api/2.0/mlflow/gateway-proxy"), ("POST", "/ajax-api/2.0/mlflow/runs/create-promptlab-run"),
        ("POST", "/v1/traces"),
    ):  # fmt: skip
        assert ask(method, path, json={} if method == "POST" else None).status_code == 404, path


def main() -> None:
    sys.path.insert(0, str(Path(__file__).parents[1]))
    from services import hub_fluent_calls

    wanted = set(sys.argv[1:])
    failed = 0
    cases = [each for each in [*CASES, *hub_fluent_calls.CASES] if not wanted or each.__name__ in wanted]
    for each in cases:
        try:
            each()
        except Exception:
            failed += 1
            print(f"FAILED {each.__name__}\n{traceback.format_exc()[-1500:]}")
    print(json.dumps({"passed": len(cases) - failed, "failed": failed}))


if __name__ == "__main__":
    main()
