"""What every tracking store finds where MLflow's rules are not plain. The recorded searches hold the rest."""

from __future__ import annotations

from penstock.tracking.datasets import CONTEXT_TAG, Dataset, DatasetInput
from penstock.tracking.interface import TrackingStore
from penstock.tracking.metrics import Metric
from penstock.tracking.queries import LoggedModelQuery, RunQuery
from penstock.tracking.writes import CreateLoggedModel, LogBatch, LogInputs


def test_what_was_not_given_matches_no_comparison(store: TrackingStore, experiment: str, run_id: str) -> None:
    """Not even with an empty text, which is how tables may keep it."""
    store.write(
        LogInputs(run_id, [DatasetInput(Dataset("bare", "1")), DatasetInput(Dataset("no words", "2"), {"t": ""})])
    )
    plain = store.write(CreateLoggedModel(experiment, name="plain"))
    typed = store.write(CreateLoggedModel(experiment, name="typed", model_type="tree", source_run_id=run_id))

    def models(text: str, order_by: str = "name") -> list[str]:
        query = LoggedModelQuery([experiment], text, order_by=[{"field_name": order_by}])
        return [one.model_id for one in store.find_logged_models(query)]

    for comparison in ("!= 'x'", "NOT IN ('x')", "LIKE '%'", "ILIKE '%'", "= ''"):
        assert list(store.find_runs(RunQuery([experiment], f"dataset.context {comparison}"))) == []
        wanted = [] if comparison == "= ''" else [typed.model_id]
        assert models(f"model_type {comparison}") == wanted
        assert models(f"source_run_id {comparison}") == wanted
    assert models("status_message != 'x'") == []
    assert models("", "model_type") == [typed.model_id, plain.model_id]

    store.write(LogInputs(run_id, [DatasetInput(Dataset("split", "3"), {CONTEXT_TAG: "train"})]))
    assert len(store.find_runs(RunQuery([experiment], "dataset.context != 'x'"))) == 1


def test_metrics_of_logged_models_are_the_latest_over_the_datasets(
    store: TrackingStore, experiment: str, run_id: str
) -> None:
    measured, bare = (store.write(CreateLoggedModel(experiment, name=name)).model_id for name in ("measured", "bare"))
    points = [(0, 5, 1.0, "d1"), (1, 4, 2.0, "d1"), (2, 5, 3.0, "d2")]
    store.write(
        LogBatch(run_id, [Metric("loss", value, time, step, measured, data, "1") for step, time, value, data in points])
    )

    def finds(text: str, *datasets: tuple[str, str]) -> list[str]:
        query = LoggedModelQuery([experiment], text, datasets=datasets, order_by=[{"field_name": "name"}])
        return [one.model_id for one in store.find_logged_models(query)]

    assert finds("metrics.loss = 3") == [measured]
    assert finds("metrics.loss = 2") == finds("metrics.loss = 1") == []
    assert finds("metrics.loss = 2", ("d1", "")) == finds("metrics.loss = 2", ("d1", "1")) == [measured]
    assert finds("metrics.loss = 1", ("d1", "")) == finds("metrics.loss = 2", ("d1", "2")) == []
    assert finds("metrics.loss = 3", ("d1", ""), ("d2", "")) == [measured]
    assert finds("", ("d1", "")) == finds("name LIKE '%'", ("d2", "1")) == [measured]
    assert finds("", ("no such dataset", "")) == []
    assert finds("") == [bare, measured]
