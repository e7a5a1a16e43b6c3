"""What every tracking store finds where MLflow's rules are not plain. The recorded searches hold the rest."""

from __future__ import annotations

from dataclasses import replace

from penstock.tracking.datasets import CONTEXT_TAG, Dataset, DatasetInput
from penstock.tracking.interface import TrackingStore
from penstock.tracking.metrics import Metric
from penstock.tracking.queries import ExperimentQuery, LoggedModelQuery, RunQuery
from penstock.tracking.writes import CreateExperiment, CreateLoggedModel, CreateRun, LogBatch, LogInputs


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


# How many keys a run has here: as many as one request may bring.
KEYS = 100


def long_filter(comparison: str, comparisons: int = 500) -> str:
    return " AND ".join(comparison.format(place % KEYS) for place in range(comparisons))


def test_a_filter_of_as_many_comparisons_as_may_be_finds_runs(
    store: TrackingStore, experiment: str, run_id: str
) -> None:
    """A database that plans the comparisons together does not get lost in them, whatever it sorts by."""
    texts = [(f"k{place}", "x") for place in range(KEYS)]
    metrics = [Metric(f"k{place}", 1.0, 1, 0) for place in range(KEYS)]
    store.write(LogBatch(run_id, metrics, texts, texts))
    store.write(LogInputs(run_id, [DatasetInput(Dataset("train", "1"))]))
    other = store.write(CreateRun(experiment, name="other", start_time=1)).run_id
    store.write(LogBatch(other, params=[("k0", "x")]))

    def finds(text: str, *order_by: str) -> list[str]:
        return [run.run_id for run in store.find_runs(RunQuery([experiment], text, order_by))]

    for comparison, found in {
        "params.k{} = 'x'": [run_id],
        "params.k{} LIKE 'x%'": [run_id],
        "params.k{} ILIKE 'X'": [run_id],
        "params.k{} != 'x'": [],
        "params.k{} IS NOT NULL": [run_id],
        "params.none{} = 'x'": [],
        "params.none{} IS NULL": [run_id, other],
        "tags.k{} = 'x'": [run_id],
        "tags.k{} IS NULL": [other],
        "metrics.k{} > 0": [run_id],
        "metrics.k{} != 1": [],
        "dataset.name != 'd{}'": [run_id],
        "attributes.run_name LIKE 'fir%'": [run_id],
    }.items():
        assert finds(long_filter(comparison), "metrics.k1 DESC", "params.k1") == found, comparison
    mixed = " AND ".join(
        long_filter(f"{kind}.k{{}} {rest}", 160)
        for kind, rest in (("params", "= 'x'"), ("tags", "= 'x'"), ("metrics", "> 0"))
    )
    assert finds(mixed, *(f"metrics.k{place} DESC" for place in range(50))) == [run_id]


def test_a_long_filter_goes_on_after_a_page(store: TrackingStore, experiment: str) -> None:
    """A value that is missing comes last here, too."""
    made = []
    for value in (3.0, 2.0, None):
        made.append(store.write(CreateRun(experiment, name="r", start_time=1)).run_id)
        store.write(LogBatch(made[-1], [] if value is None else [Metric("loss", value, 1, 0)]))
    query = RunQuery([experiment], long_filter("params.none{} IS NULL"), ["metrics.loss DESC"], limit=1)
    found, token = [], ""
    for _ in made:
        page = store.find_runs(replace(query, page_token=token))
        found += [run.run_id for run in page]
        token = page.next_token
    assert (found, token) == (made, "")


def test_a_filter_of_as_many_comparisons_as_may_be_finds_experiments_and_logged_models(
    store: TrackingStore, experiment: str, run_id: str
) -> None:
    texts = {f"k{place}": "x" for place in range(KEYS)}
    tagged = store.write(CreateExperiment("tagged", tags=texts))
    model = store.write(CreateLoggedModel(experiment, name="m", params=list(texts.items()), tags=texts)).model_id
    store.write(LogBatch(run_id, [Metric(key, 1.0, 1, 0, model) for key in texts]))

    def experiments(text: str) -> list[str]:
        return [one.experiment_id for one in store.find_experiments(ExperimentQuery(text))]

    def models(text: str) -> list[str]:
        order_by = [{"field_name": "metrics.k1"}, {"field_name": "name"}]
        return [one.model_id for one in store.find_logged_models(LoggedModelQuery([experiment], text, order_by))]

    for comparison in ("tags.k{} = 'x'", "tags.k{} LIKE '_'", "tags.k{} ILIKE 'X'"):
        assert experiments(long_filter(comparison)) == [tagged], comparison
    assert experiments(long_filter("tags.none{} = 'x'")) == experiments(long_filter("tags.k{} != 'x'")) == []
    for comparison in ("tags.k{} = 'x'", "params.k{} = 'x'", "metrics.k{} >= 1"):
        assert models(long_filter(comparison)) == [model], comparison
    assert models(long_filter("params.none{} = 'x'")) == models(long_filter("metrics.k{} > 1")) == []
