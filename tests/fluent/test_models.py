"""A model is logged with what the run knows of it, registered, and found again."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression

import penstock
from penstock import tracking
from penstock.errors import TrackingInvalid, TrackingRefused, TrackingUnavailable
from penstock.fluent.transport.rest import RestTransport
from penstock.registry import open_registry

ROWS, TARGET = [[0.0, 1.0], [1.0, 0.0], [2.0, 3.0], [3.0, 2.0]], [0, 0, 1, 1]


def fitted() -> LogisticRegression:
    return LogisticRegression().fit(ROWS, TARGET)


def test_a_model_is_logged_with_what_the_run_knows_of_it(store: Path) -> None:
    frame = tracking.data.from_pandas(pd.DataFrame({"x": [1]}), name="frame")
    with tracking.start_run() as run:
        tracking.log_params({"C": 1.0, "kind": "lr"})
        tracking.log_metric("loss", 0.5)
        tracking.log_metric("later", 0.1, step=7)
        logged = tracking.log_model(
            fitted(), params={"C": 2, "given": 3}, tags={"team": "risk"}, model_type="classifier"
        )
        tracking.log_metric("accuracy", 0.75)
        tracking.log_metrics({"f1": 0.5, "gap": float("nan")}, dataset=frame)
        tracking.log_metric("later", 0.2, step=8)
        tracking.log_metric("asked", 1.0, step=9, model_id=logged.model_id)
    assert logged.model_uri == f"models:/{logged.model_id}"
    model = tracking.get_logged_model(logged.model_id)
    assert (model.status, model.name, model.model_type) == ("LOGGED_MODEL_READY", "model", "classifier")
    assert (model.source_run_id, model.tags) == (run.info.run_id, {"team": "risk"})
    assert model.params == {"C": "1.0", "kind": "lr", "given": "3"}
    assert {point.key for point in model.metrics} == {"loss", "accuracy", "f1", "gap", "asked"}
    found = tracking.get_run(run.info.run_id)
    assert [each.model_id for each in found.outputs.model_outputs] == [logged.model_id]
    assert [each.dataset.name for each in found.inputs.dataset_inputs] == ["frame"]
    assert found.data.metrics["later"] == 0.2
    assert found.data.metrics["accuracy"] == 0.75
    manifest = (Path(tracking.download_artifacts(logged.model_uri)) / "MLmodel").read_text()
    assert f"model_id: {logged.model_id}" in manifest
    assert f"run_id: {run.info.run_id}" in manifest


def test_logged_models_are_searched_tagged_and_deleted(store: Path) -> None:
    with tracking.start_run():
        first = tracking.log_model(fitted(), "one")
        tracking.log_metric("accuracy", 0.9)
    with tracking.start_run():
        tracking.log_model(fitted(), "two")
    assert [model.name for model in tracking.search_logged_models(filter_string="metrics.accuracy > 0.5")] == ["one"]
    assert len(tracking.search_logged_models(max_results=1)) == 1
    tracking.set_logged_model_tags(first.model_id, {"state": "good", "x": 1})
    tracking.delete_logged_model_tag(first.model_id, "x")
    assert tracking.get_logged_model(first.model_id).tags == {"state": "good"}
    tracking.delete_logged_model(first.model_id)
    assert [model.name for model in tracking.search_logged_models()] == ["two"]


def test_a_model_is_registered_however_it_is_named(store: Path, tmp_path: Path) -> None:
    with tracking.start_run() as run:
        logged = tracking.log_model(fitted(), registered_model_name="fraud", input_example=np.array(ROWS))
    assert logged.registered_version is not None
    assert (logged.registered_version.name, logged.registered_model_version) == ("fraud", "1")
    again = tracking.register_model(f"runs:/{run.info.run_id}/model", "fraud", tags={"from": "a run"})
    assert (again.version, again.source) == ("2", logged.model_uri)
    assert tracking.register_model(logged.model_uri, "fraud").version == "3"
    for uri in ("models:/fraud/1", "models:/fraud/latest", logged.model_uri, f"runs:/{run.info.run_id}/model"):
        with penstock.load_model(tracking.download_artifacts(uri), trust_code=True) as model:
            assert model.predict(np.array(ROWS)).tolist() == TARGET


def test_a_server_without_logged_models_keeps_files_of_the_run(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def send(transport: RestTransport, method: str, path: str, fields: Mapping[str, Any]) -> dict[str, Any]:
        if path.startswith("logged-models"):
            raise TrackingUnavailable("Not found", status=404)
        return sent(transport, method, path, fields)

    sent = RestTransport.send
    monkeypatch.setattr(RestTransport, "send", send)
    with tracking.start_run() as run:
        logged = tracking.log_model(fitted(), registered_model_name="fraud", input_example=np.array(ROWS))
    assert (logged.model_uri, logged.model_id) == (f"runs:/{run.info.run_id}/model", "")
    assert logged.registered_model_version == "1"
    files = store / "artifacts" / "0" / run.info.run_id / "artifacts" / "model"
    with penstock.load_model(str(files), trust_code=True) as model:
        assert model.predict(np.array(ROWS)).tolist() == TARGET


def test_who_registers_is_called_as_by_the_registrys_commands(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENSTOCK_USER", "ann")
    with tracking.start_run():
        tracking.log_model(fitted(), registered_model_name="fraud", input_example=np.array(ROWS))
    with closing(open_registry(str(store), read_only=True)) as registry:
        assert registry.version("fraud", "1").registered_by == "ann"


@pytest.mark.parametrize("uri", ["models:/fraud/1", "runs:/", "runs:/abc", "./model"])
def test_only_models_of_runs_are_registered(uri: str) -> None:
    with pytest.raises(TrackingInvalid, match="no model of a run"):
        tracking.register_model(uri, "fraud")


def test_the_beginning_of_a_runs_id_is_told_from_a_whole_one(store: Path) -> None:
    with tracking.start_run() as run:
        pass
    beginning = run.info.run_id[:8]
    with pytest.raises(TrackingRefused, match=f"no run '{beginning}' at .*: an id has 32 digits") as caught:
        tracking.register_model(f"runs:/{beginning}/model", "iris")
    assert f"penstock runs show {beginning}" in caught.value.hint
    assert caught.value.error_code == "RESOURCE_DOES_NOT_EXIST"
    with pytest.raises(TrackingRefused, match="Run with id=") as whole:
        tracking.get_run("0" * 32)
    assert "32 digits" not in str(whole.value)
