"""The client object: what it says of runs, experiments and registered models, without an active run."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from penstock import tracking
from penstock.errors import TrackingRefused


def test_experiments_are_made_renamed_deleted_and_restored(store: Path) -> None:
    client = tracking.TrackingClient()
    made = client.create_experiment("trees", tags={"team": 1})
    client.set_experiment_tag(made, "state", "new")
    client.rename_experiment(made, "forests")
    found = client.get_experiment(made)
    assert (found.name, found.tags) == ("forests", {"team": "1", "state": "new"})
    client.delete_experiment(made)
    assert [each.name for each in client.search_experiments()] == ["Default"]
    client.restore_experiment(made)
    assert client.get_experiment_by_name("forests") == client.get_experiment(made)


def test_a_run_is_logged_to_by_its_id(store: Path, tmp_path: Path) -> None:
    client = tracking.TrackingClient()
    run = client.create_run("0", tags={"a": 1}, run_name="first", start_time=5)
    run_id = run.info.run_id
    assert (run.info.run_name, run.info.start_time, run.data.tags["a"]) == ("first", 5, "1")
    assert client.log_param(run_id, "depth", 8) == 8
    client.log_metric(run_id, "loss", 0.5, timestamp=7, step=1)
    points = [SimpleNamespace(key="loss", value=0.25, timestamp=8, step=2)]
    pair = SimpleNamespace(key="kind", value="oak")
    client.log_batch(run_id, metrics=points, params=[pair], tags=[pair], synchronous=True)
    client.set_tag(run_id, "gone", 1)
    client.delete_tag(run_id, "gone")
    client.log_inputs(run_id, [tracking.data.from_numpy(np.zeros(2), name="zeros")])
    (tmp_path / "f.txt").write_text("text")
    client.log_artifact(run_id, tmp_path / "f.txt", "files")
    client.log_dict(run_id, {"a": 1}, "d.json")
    client.log_text(run_id, "words", "t.txt")
    client.log_table(run_id, {"a": [1]}, "table.json")
    client.log_image(run_id, np.eye(3), "i.png")
    client.set_terminated(run_id, "FAILED", end_time=9)
    assert tracking.active_run() is None
    found = client.get_run(run_id)
    assert (found.info.status, found.info.end_time) == ("FAILED", 9)
    assert (found.data.params, found.data.metrics) == ({"depth": "8", "kind": "oak"}, {"loss": 0.25})
    assert "gone" not in found.data.tags
    assert [each.dataset.name for each in found.inputs.dataset_inputs] == ["zeros"]
    history = client.get_metric_history(run_id, "loss")
    assert [(point.value, point.timestamp, point.step) for point in history] == [(0.5, 7, 1), (0.25, 8, 2)]
    listed = [each.path for each in client.list_artifacts(run_id)]
    assert listed == ["d.json", "files", "i.png", "t.txt", "table.json"]
    assert Path(client.download_artifacts(run_id, "files/f.txt", tmp_path / "down")).read_text() == "text"
    client.update_run(run_id, status="FINISHED", name="other")
    client.delete_run(run_id)
    client.restore_run(run_id)
    assert client.get_run(run_id).info.run_name == "other"


def test_runs_are_searched_by_pages(store: Path) -> None:
    client = tracking.TrackingClient()
    for number in range(3):
        client.set_terminated(client.create_run("0", run_name=str(number)).info.run_id)
    page = client.search_runs(["0"], max_results=2, order_by=["attributes.run_name"])
    rest = client.search_runs(["0"], order_by=["attributes.run_name"], page_token=page.token)
    assert [run.info.run_name for run in [*page, *rest]] == ["0", "1", "2"]
    assert rest.token is None


def test_a_client_for_another_place_leaves_the_fluent_functions_where_they_are(store: Path, tmp_path: Path) -> None:
    client = tracking.TrackingClient(str(tmp_path / "elsewhere"))
    run_id = client.create_run("0").info.run_id
    client.log_metric(run_id, "loss", 1)
    with tracking.start_run() as run:
        assert client.get_run(run_id).data.metrics == {"loss": 1.0}
        with pytest.raises(TrackingRefused):
            client.get_run(run.info.run_id)
    assert tracking.get_run(run.info.run_id).info.status == "FINISHED"
    assert client.tracking_uri == str(tmp_path / "elsewhere")


def test_models_are_registered_promoted_and_deleted(store: Path) -> None:
    client = tracking.TrackingClient()
    with tracking.start_run() as run:
        logged = tracking.log_model(LogisticRegression().fit([[0.0], [1.0]], [0, 1]))
    client.create_registered_model("fraud", tags={"team": "risk"}, description="first")
    made = client.create_model_version("fraud", logged.model_uri, run.info.run_id, {"x": 1}, model_id=logged.model_id)
    assert (made.name, made.version, made.status, made.tags) == ("fraud", "1", "READY", {"x": "1"})
    client.set_registered_model_alias("fraud", "champion", made.version)
    client.set_model_version_tag("fraud", "1", "checked", "yes")
    client.delete_model_version_tag("fraud", "1", "x")
    client.update_model_version("fraud", "1", "words")
    assert client.transition_model_version_stage("fraud", "1", "Production").current_stage == "Production"
    found = client.get_model_version_by_alias("fraud", "champion")
    assert (found.version, found.tags, found.description) == ("1", {"checked": "yes"}, "words")
    assert [each.version for each in client.get_latest_versions("fraud", ["Production"])] == ["1"]
    assert [each.version for each in client.search_model_versions("name = 'fraud'")] == ["1"]
    assert client.get_model_version_download_uri("fraud", "1")
    client.set_registered_model_tag("fraud", "state", "good")
    client.delete_registered_model_tag("fraud", "team")
    client.update_registered_model("fraud", "second")
    client.rename_registered_model("fraud", "scams")
    model = client.get_registered_model("scams")
    assert (model.tags, model.aliases, model.description) == ({"state": "good"}, {"champion": "1"}, "second")
    assert [each.name for each in client.search_registered_models("name LIKE 's%'")] == ["scams"]
    client.delete_registered_model_alias("scams", "champion")
    client.delete_model_version("scams", "1")
    client.delete_registered_model("scams")
    assert client.search_registered_models() == []
    client.set_logged_model_tags(logged.model_id, {"a": 1})
    client.delete_logged_model_tag(logged.model_id, "a")
    assert client.search_logged_models(["0"])[0].model_id == client.get_logged_model(logged.model_id).model_id
    client.delete_logged_model(logged.model_id)
