"""What scikit-learn fits is logged by itself, and a model that was logged is registered."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import penstock
from penstock import tracking
from penstock.errors import TrackingInvalid

ROWS, TARGET = [[0.0, 1.0], [1.0, 0.0], [2.0, 3.0], [3.0, 2.0]], [0, 0, 1, 1]


@pytest.fixture(autouse=True)
def ends_autologging() -> Iterator[None]:
    yield
    tracking.autolog(disable=True)


def test_a_fit_is_a_run_with_params_score_and_time(store: Path) -> None:
    tracking.autolog(extra_tags={"team": "risk"})
    pipeline = make_pipeline(StandardScaler(), LogisticRegression(C=0.5))
    assert pipeline.fit(ROWS, TARGET) is pipeline
    assert tracking.active_run() is None
    (run,) = tracking.search_runs(output_format="list")  # the steps inside are no runs
    assert run.info.status == "FINISHED"
    assert run.data.params["logisticregression__C"] == "0.5"
    assert run.data.metrics["training_score"] == pipeline.score(ROWS, TARGET)
    assert run.data.metrics["training_seconds"] > 0
    assert (run.data.tags["estimator_name"], run.data.tags["team"]) == ("Pipeline", "risk")
    tracking.autolog(disable=True)
    pipeline.fit(ROWS, TARGET)
    assert len(tracking.search_runs(output_format="list")) == 1


def test_a_fit_in_a_run_logs_to_it(store: Path) -> None:
    tracking.autolog()
    with tracking.start_run() as run:
        LogisticRegression().fit(X=ROWS, y=TARGET)
        assert tracking.active_run() is run
    assert tracking.get_run(run.info.run_id).data.metrics["training_score"] == 1.0


def test_a_fit_that_fails_is_a_run_that_failed(store: Path) -> None:
    tracking.autolog()
    with pytest.raises(ValueError, match="C"):
        LogisticRegression(C=-1).fit(ROWS, TARGET)
    (run,) = tracking.search_runs(output_format="list")
    assert (run.info.status, run.data.params["C"]) == ("FAILED", "-1")


def test_what_cannot_be_logged_does_not_fail_the_fit(
    store: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    tracking.autolog()

    def score(*_: Any) -> float:
        raise ZeroDivisionError("no score")

    monkeypatch.setattr(LogisticRegression, "score", score)
    assert LogisticRegression().fit(ROWS, TARGET).predict(ROWS).tolist() == TARGET
    assert "Autologging did not log all of a fit: no score" in caplog.text


def test_a_model_is_logged_and_registered(store: Path, tmp_path: Path) -> None:
    estimator = LogisticRegression().fit(ROWS, TARGET)
    with tracking.start_run() as run:
        import numpy as np

        logged = tracking.log_model(estimator, registered_model_name="fraud", input_example=np.array(ROWS))
    assert logged.model_uri == f"runs:/{run.info.run_id}/model"
    assert logged.registered_version is not None
    assert (logged.registered_version.name, logged.registered_version.version) == ("fraud", "1")
    assert tracking.register_model(logged.model_uri, "fraud").version == "2"
    files = store / "artifacts" / "0" / run.info.run_id / "artifacts" / "model"
    with penstock.load_model(str(files), trust_code=True) as model:
        assert model.predict(np.array(ROWS)).tolist() == TARGET


@pytest.mark.parametrize("uri", ["models:/fraud/1", "runs:/", "runs:/abc", "./model"])
def test_only_models_of_runs_are_registered(uri: str) -> None:
    with pytest.raises(TrackingInvalid, match="no model of a run"):
        tracking.register_model(uri, "fraud")
