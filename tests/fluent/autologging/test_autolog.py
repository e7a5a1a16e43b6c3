"""What scikit-learn fits is logged by itself, and no failure of it is one of the fit. Which metrics, params and files
there are is held by tests/stand_in against MLflow's own."""

from __future__ import annotations

import csv
import threading
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn import model_selection
from sklearn.cluster import KMeans
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from penstock import tracking
from penstock.fluent.views import TrackedRun

pytestmark = pytest.mark.usefixtures("store", "quiet_figures")

ROWS, TARGET = [[0.0, 1.0], [1.0, 0.0], [2.0, 3.0], [3.0, 2.0]], [0, 0, 1, 1]


@pytest.fixture(autouse=True)
def ends_autologging() -> Iterator[None]:
    yield
    tracking.autolog(disable=True)


def runs() -> list[TrackedRun]:
    found: list[TrackedRun] = tracking.search_runs(output_format="list", order_by=["attributes.start_time"])
    return found


def test_a_fit_is_a_run_with_params_metrics_and_model() -> None:
    tracking.autolog(extra_tags={"team": "risk"}, log_input_examples=True, registered_model_name="fraud")
    pipeline = make_pipeline(StandardScaler(), LogisticRegression(C=0.5))
    assert pipeline.fit(ROWS, TARGET) is pipeline
    assert tracking.active_run() is None
    (run,) = runs()  # the steps inside are no runs
    assert run.info.status == "FINISHED"
    assert run.data.params["logisticregression__C"] == "0.5"
    assert run.data.metrics["training_score"] == pipeline.score(ROWS, TARGET)
    assert (run.data.tags["estimator_name"], run.data.tags["team"]) == ("Pipeline", "risk")
    (output,) = run.outputs.model_outputs
    files = {each.path for each in tracking.list_artifacts(f"models:/{output.model_id}")}
    assert {"MLmodel", "input_example.json"} <= files
    assert tracking.TrackingClient().get_model_version("fraud", "1").run_id == run.info.run_id
    tracking.autolog(disable=True)
    pipeline.fit(ROWS, TARGET)
    assert len(runs()) == 1


def test_a_fit_in_a_run_logs_to_it_unless_it_is_told_not_to() -> None:
    tracking.autolog(log_models=False)
    with tracking.start_run() as run:
        LogisticRegression().fit(X=ROWS, y=TARGET, sample_weight=[1, 1, 1, 2])
        assert tracking.active_run() is run
    assert tracking.get_run(run.info.run_id).data.metrics["training_score"] == 1.0
    tracking.autolog(log_models=False, exclusive=True)
    with tracking.start_run() as other:
        LogisticRegression().fit(ROWS, TARGET)
    assert tracking.get_run(other.info.run_id).data.metrics == {}


def test_a_fit_that_fails_is_a_run_that_failed() -> None:
    tracking.autolog(log_models=False)
    with pytest.raises(ValueError, match="C"):
        LogisticRegression(C=-1).fit(ROWS, TARGET)
    (run,) = runs()
    assert (run.info.status, run.data.params["C"]) == ("FAILED", "-1")


def test_what_cannot_be_logged_does_not_fail_the_fit(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def score(*_: Any) -> float:
        raise ZeroDivisionError("no score")

    def packaged(*_: Any, **__: Any) -> None:
        raise OSError("no room")

    monkeypatch.setattr(LogisticRegression, "score", score)
    monkeypatch.setattr("penstock.package.save.save_model", packaged)
    tracking.autolog()
    assert LogisticRegression().fit(ROWS, TARGET).predict(ROWS).tolist() == TARGET
    assert "Autologging did not log all of a fit: no score" in caplog.text
    assert "Autologging did not log all of a fit: no room" in caplog.text
    caplog.clear()
    tracking.autolog(silent=True)
    with tracking.start_run():
        LogisticRegression().fit(ROWS, TARGET)
        LogisticRegression(C=2).fit(ROWS, TARGET)  # the run has another C already
    assert caplog.text == ""
    assert runs()[1].data.metrics["training_accuracy_score"] == 1.0


def test_preparing_data_and_measuring_are_no_runs() -> None:
    tracking.autolog(log_models=False)
    StandardScaler().fit_transform(ROWS)
    model_selection.cross_val_score(LogisticRegression(), ROWS, TARGET, cv=2)
    assert runs() == []
    assert KMeans(2, n_init=1).fit_predict(np.array(ROWS)).shape == (4,)
    (run,) = runs()
    assert run.data.tags["estimator_name"] == "KMeans"


def test_threads_of_a_fit_log_nothing_and_a_programs_own_do() -> None:
    tracking.autolog(log_models=False)

    class Outer(LinearRegression):  # type: ignore[misc]
        def fit(self, X: Any, y: Any) -> Any:
            in_thread(lambda: LinearRegression().fit(X, y))
            return super().fit(X, y)

    Outer().fit(np.array(ROWS), TARGET)
    assert len(runs()) == 2  # the class is the program's own, and its fit is none of those that are watched
    make_pipeline(Outer()).fit(np.array(ROWS), TARGET)
    assert len(runs()) == 3
    in_thread(lambda: LinearRegression().fit(ROWS, TARGET))
    assert len(runs()) == 4


def in_thread(work: Any) -> None:
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()


def test_data_are_an_input_of_the_run() -> None:
    tracking.autolog(log_models=False)
    LinearRegression().fit(import_module("scipy.sparse").csr_array(np.array(ROWS)), TARGET)
    LinearRegression().fit(ROWS, TARGET)  # lists have no digest
    sparse, lists = runs()
    (taken,) = sparse.inputs.dataset_inputs
    assert taken.dataset.digest == tracking.data.from_numpy(np.array(ROWS), targets=np.array(TARGET)).digest
    assert lists.inputs.dataset_inputs == []


def test_a_search_logs_its_best_model_and_a_table_of_its_results(tmp_path: Path) -> None:
    tracking.autolog(max_tuning_runs=None)
    rows = np.array([[float(number)] for number in range(8)])
    with tracking.start_run() as run:
        model_selection.GridSearchCV(LogisticRegression(), {"C": [0.5, 1.0]}, cv=2).fit(rows, rows[:, 0] > 3)
    models = {model.name: model for model in tracking.search_logged_models()}
    assert set(models) == {"model", "best_estimator"}
    assert models["model"].params["best_C"] == models["best_estimator"].params["C"]
    assert {point.key for point in models["best_estimator"].metrics} >= {"mean_test_score", "rank_test_score"}
    assert len([each for each in runs() if each.data.tags.get("mlflow.parentRunId") == run.info.run_id]) == 2
    table = list(csv.DictReader(tracking.load_text(f"runs:/{run.info.run_id}/cv_results.csv").splitlines()))
    assert [row["param_C"] for row in table] == ["0.5", "1.0"]
