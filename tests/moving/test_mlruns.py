"""Imports from a directory of MLflow's file store, which is laid out by hand here."""

from __future__ import annotations

import math
import os
import shutil
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from moving.conftest import Store
from penstock.errors import ImportFailed
from penstock.moving.importer import ImportOptions
from penstock.moving.mlruns.source import MlrunsDirectory, open_mlruns
from penstock.moving.records import Broken, SourceRun
from penstock.moving.steps.session import held_by_experiment, held_by_logged_model, held_by_model, held_by_run

RUN, OTHER, MODEL = "a" * 32, "b" * 32, f"m-{'c' * 32}"


def write(path: Path, content: str | bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)


def meta(place: Path, **content: Any) -> None:
    write(place / "meta.yaml", yaml.safe_dump(content))


def add_run(root: Path, experiment: str, run_id: str, **more: Any) -> Path:
    place = root / experiment / run_id
    given = {"run_id": run_id, "run_uuid": run_id, "experiment_id": experiment, "run_name": "first", "user_id": "ann"}
    times = {"status": 3, "start_time": 10, "end_time": 20, "lifecycle_stage": "active", "deleted_time": None}
    meta(place, **given, **{"artifact_uri": f"file:///old/mlruns/{experiment}/{run_id}/artifacts", **times, **more})
    for folder in ("metrics", "params", "tags", "artifacts"):
        (place / folder).mkdir(exist_ok=True)
    return place


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """With an experiment, a run, a logged model and a registered model."""
    root = tmp_path / "mlruns"
    meta(root / "0", experiment_id="0", name="Default", artifact_location="file:///old/mlruns/0", creation_time=5)
    location = f"file://{root}/123456789012345678"
    meta(root / "123456789012345678", experiment_id=123456789012345678, name="trees", artifact_location=location)
    write(root / "123456789012345678" / "tags" / "mlflow.note.content", "é\n")
    run = add_run(root, "0", RUN)
    write(run / "metrics" / "loss", "".join(f"{1000 + step} {1 / (step + 1)} {step}\n" for step in range(300)))
    write(run / "metrics" / "acc" / "val", "7 0.5 2 data d1\n6 nan 3\n5 inf 1\n4 0.25\n")
    write(run / "params" / "depth", "3")
    write(run / "params" / "path" / "to", "é\n")
    write(run / "tags" / "mlflow.runName", "first")
    write(run / "artifacts" / "a b.txt", "content")
    meta(root / "0" / "datasets" / "d5", name="iris", digest="d1", source_type="http", source="{}", profile=None)
    meta(run / "inputs" / "i1", source_type="DATASET", source_id="d5", tags={"mlflow.data.context": "train"})
    meta(run / "inputs" / "i2", source_type="MODEL", source_id=MODEL, tags={})
    meta(run / "outputs" / MODEL, source_type="RUN_OUTPUT", destination_type="MODEL_OUTPUT", step=4)
    model = root / "0" / "models" / MODEL
    made = {"creation_timestamp": 1, "last_updated_timestamp": 2, "status": 2, "source_run_id": RUN}
    meta(model, model_id=MODEL, experiment_id="0", name="m", artifact_location="/nowhere", model_type="x", **made)
    write(model / "metrics" / "auc", f"1 0.5 0 {RUN}\n2 0.75 1 {RUN} iris d1\n")
    write(model / "params" / "p", "1")
    write(model / "artifacts" / "MLmodel", "flavors: {}")
    registered = root / "models" / "iris"
    meta(registered, name="iris", creation_timestamp=1000, last_updated_timestamp=2000, description="flowers")
    write(registered / "tags" / "owner", "ann")
    write(registered / "aliases" / "champion", "3")
    for version, stage in ((1, "Production"), (2, "Deleted_Internal"), (3, "None")):
        place = registered / f"version-{version}"
        meta(place, name="iris", version=version, current_stage=stage, source=f"models:/{MODEL}", run_id=RUN)
    write(registered / "version-1" / "tags" / "k", "v")
    return root


def test_all_that_a_file_store_has_comes_over(root: Path, store: Store) -> None:
    report = store.bring(root)
    assert report.agrees
    assert [(each.kind, each.id, each.reason) for each in report.listed] == [
        ("model versions", "iris/2", "it was deleted there; its number is not given again")
    ]
    with store.opened() as stores:
        trees = stores.tracking.experiment("123456789012345678")
        assert (trees.name, trees.tags) == ("trees", {"mlflow.note.content": "é\n"})
        run = stores.tracking.run(RUN)
        assert (run.name, run.user_id, run.status, run.start_time, run.end_time) == ("first", "ann", "FINISHED", 10, 20)
        assert (run.params, run.tags) == ({"depth": "3", "path/to": "é\n"}, {"mlflow.runName": "first"})
        (dataset,) = run.datasets
        assert (dataset.dataset.name, dataset.dataset.profile, dataset.tags) == (
            *("iris", None),
            {"mlflow.data.context": "train"},
        )
        assert [each.model_id for each in run.model_inputs] == [MODEL]
        assert run.model_outputs == ((MODEL, 4),)
        # The directory is not where it was written: the files that are in it are found.
        assert run.artifact_uri == f"file://{root}/0/{RUN}/artifacts"
        assert len(stores.tracking.history(RUN, "loss", limit=1000).points) == 300
        points = list(stores.tracking.history(RUN, "acc/val", limit=9).points)
        assert [(each.timestamp, each.step) for each in points] == [(4, 0), (5, 1), (6, 3), (7, 2)]
        assert math.isnan(points[2].value)
        assert points[1].value > 1e308
        model = stores.tracking.logged_model(MODEL)
        assert (model.status, model.params, model.source_run_id) == ("LOGGED_MODEL_READY", {"p": "1"}, RUN)
        assert [(m.metric.value, m.metric.dataset_name, m.run_id) for m in model.metrics] == [
            (0.5, "", RUN),
            (0.75, "iris", RUN),
        ]
        iris = stores.registry.model("iris")
        assert (iris.description, iris.tags, iris.aliases) == ("flowers", {"owner": "ann"}, {"champion": "3"})
        versions = stores.registry.versions("iris")
        assert [(each.version, each.stage, each.logged_model) for each in versions] == [
            ("1", "Production", MODEL),
            ("3", "None", MODEL),
        ]
        assert versions[0].tags == {"k": "v"}


def test_a_second_import_brings_what_is_new(root: Path, store: Store) -> None:
    store.bring(root)
    before = {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}
    assert all(each.imported == 0 for each in store.bring(root).counted)
    with (root / "0" / RUN / "metrics" / "loss").open("a") as file:
        file.write("5000 0.5 900\n")
    add_run(root, "0", OTHER)
    brought = {each.kind: each.imported for each in store.bring(root).counted if each.imported}
    assert brought == {"runs": 1, "metric points": 1}
    assert {path: path.read_bytes() for path in before if path.name != "loss"} == {
        path: content for path, content in before.items() if path.name != "loss"
    }


def test_a_point_that_is_there_twice_is_one(root: Path, store: Store) -> None:
    with (root / "0" / RUN / "metrics" / "loss").open("a") as file:
        file.write("1000 1.0 0\n1001 0.5 1")
    for _ in range(2):
        report = store.bring(root)
        assert report.agrees
        points = next(each for each in report.counted if each.kind == "metric points")
        assert (points.source, points.store) == (304, 304)
    with (root / "0" / RUN / "metrics" / "loss").open("a") as file:
        file.write("\n5000 0.5 900\n")
    report = store.bring(root)
    assert report.agrees
    assert report.reasons["metric points"] == {"it was logged more than once: counted and kept once": 2}


def test_files_are_copied_below_the_hubs_artifacts(root: Path, store: Store) -> None:
    report = store.bring(root, ImportOptions(copy_artifacts=True))
    assert report.agrees
    found = {
        path.relative_to(store.artifacts).as_posix() for path in Path(store.artifacts).rglob("*") if path.is_file()
    }
    assert found == {f"0/{RUN}/artifacts/a b.txt", f"0/models/{MODEL}/artifacts/MLmodel"}


def test_what_is_deleted_there_is_deleted_here(root: Path, store: Store) -> None:
    gone = root / ".trash" / "7"
    meta(gone, experiment_id="7", name="gone", artifact_location="/x", lifecycle_stage="deleted", last_update_time=9)
    add_run(root / ".trash", "7", OTHER, lifecycle_stage="deleted", deleted_time=99)
    (root / "0" / "traces" / "t1").mkdir(parents=True)
    (root / "0" / "traces" / "t2").mkdir()
    report = store.bring(root)
    assert report.agrees
    assert report.reasons["experiments"] == {"its traces stay behind: a hub has none": 2}
    with store.opened() as stores:
        assert stores.tracking.experiment("7").lifecycle == "deleted"
        assert stores.tracking.run(OTHER).lifecycle == "deleted"


@pytest.mark.parametrize(
    ("damage", "listed"),
    [
        (lambda root: (root / "0" / RUN / "meta.yaml").unlink(), ("runs", RUN, "it has no meta.yaml")),
        (
            lambda root: write(root / "0" / RUN / "meta.yaml", "a: ["),
            ("runs", RUN, "its meta.yaml cannot be read: did not find expected node content"),
        ),
        (lambda root: write(root / "0" / RUN / "meta.yaml", ""), ("runs", RUN, "its meta.yaml is empty or no mapping")),
        (
            lambda root: os.rename(root / "0" / RUN, root / "0" / OTHER),
            ("runs", OTHER, f"it says that it is run {RUN!r}"),
        ),
        (
            lambda root: os.rename(root / "0" / RUN, root / "123456789012345678" / RUN),
            ("runs", RUN, "it says that it is of experiment '0'"),
        ),
        (
            lambda root: write(root / "123456789012345678" / "meta.yaml", "- 1"),
            ("experiments", "123456789012345678", "its meta.yaml is empty or no mapping"),
        ),
        (
            lambda root: write(
                root / "0" / RUN / "metrics" / "loss", b"1 0.5 1\n\n\xff x\n2 0.5 9999999999999999999\n"
            ),
            ("metric points", f"{RUN}/loss", "its line is no timestamp, value and step"),
        ),
        (
            lambda root: write(root / "0" / RUN / "params" / "depth", b"\xff"),
            ("params", f"{RUN}/depth", "its value is no UTF-8"),
        ),
        (
            lambda root: (root / "0" / "datasets" / "d5" / "meta.yaml").unlink(),
            ("dataset inputs", f"{RUN}/d5", "of its dataset: it has no meta.yaml"),
        ),
        (
            lambda root: write(root / "0" / "models" / MODEL / "meta.yaml", "{}"),
            ("logged models", MODEL, "it says that it is model ''"),
        ),
        (
            lambda root: write(root / "0" / "models" / MODEL / "metrics" / "auc", "1 2\n"),
            ("logged model metrics", f"{MODEL}/auc", "its line is no timestamp, value, step and run"),
        ),
        (
            lambda root: (root / "models" / "iris" / "meta.yaml").unlink(),
            ("registered models", "iris", "it has no meta.yaml"),
        ),
        (
            lambda root: (root / "models" / "iris" / "version-1" / "meta.yaml").unlink(),
            ("model versions", "iris/1", "it has no meta.yaml"),
        ),
    ],
)
def test_what_is_broken_is_listed_and_counted(root: Path, damage: Any, listed: tuple[str, str, str]) -> None:
    damage(root)
    source = open_mlruns(str(root))
    counted, broken = given_by(source)
    assert listed in [(each.kind, each.id, each.reason) for each in broken]
    assert {kind: counted[kind] for kind in source.counts()} == source.counts()


def given_by(source: MlrunsDirectory) -> tuple[Counter[str], list[Broken]]:
    """How many objects of each kind a source gives, those that are broken included; and these."""
    counted: Counter[str] = Counter()
    broken: list[Broken] = []

    def count(each: Any, held: Callable[[Any], Mapping[Any, int]]) -> None:
        if isinstance(each, Broken):
            broken.append(each)
            counted[each.kind] += 0 if each.kept else each.count
        else:
            counted.update(held(each))

    for experiment in source.experiments():
        count(experiment, held_by_experiment)
    for page in source.runs():
        for run in page:
            count(run, lambda given: {**held_by_run(given), "metric points": 0})
        for block in source.points([run for run in page if isinstance(run, SourceRun)]):
            count(block, lambda given: {"metric points": len(given.points)})
    for models in source.logged_models():
        for model in models:
            count(model, held_by_logged_model)
    for registered in source.registered_models():
        count(registered, held_by_model)
    return counted, broken


LINKED = "is a link, and none is followed"
BRACKETS = "name: " + "[" * 30_000 + "]" * 30_000
BOMB = "a: &a0 [x, x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 200)) + "run_id: *a199\n"


def link_to_secrets(place: Path) -> None:
    """In place of what is there: a directory that has something of everything, outside of the root."""
    secret = place.anchor / Path(*place.parts[1 : place.parts.index("mlruns")]) / "secret"
    meta(secret, name="secret", creation_timestamp=1)
    write(secret / "password", "secret")
    meta(secret / "version-1", name="secret", version=1)
    shutil.rmtree(place, ignore_errors=True)
    place.symlink_to(secret, target_is_directory=True)


def link_a_meta(place: Path) -> None:
    os.rename(place / "meta.yaml", place.parents[2] / "elsewhere.yaml")
    (place / "meta.yaml").symlink_to(place.parents[2] / "elsewhere.yaml")


def pipe(path: Path) -> None:
    path.unlink(missing_ok=True)
    path.parent.mkdir(exist_ok=True)
    os.mkfifo(path)


def add_twins(root: Path) -> None:
    """Another run of the same id in another experiment, and an experiment in the trash that is beside it, too."""
    add_run(root, "123456789012345678", RUN)
    write(root / "123456789012345678" / RUN / "params" / "p", "1")
    write(root / "123456789012345678" / RUN / "metrics" / "loss", "1 1 1\n")
    meta(root / ".trash" / "0", experiment_id="0", name="Default", artifact_location="/x")
    write(root / ".trash" / "0" / "tags" / "k", "v")
    shutil.copytree(root / "0" / "models" / MODEL, root / "123456789012345678" / "models" / MODEL)
    shutil.copytree(root / "models" / "iris", root / "models" / "roses")
    shutil.copytree(root / "models" / "iris" / "version-1", root / "models" / "iris" / "version-01")


@pytest.mark.parametrize(
    ("harm", "listed"),
    [
        (lambda root: link_to_secrets(root / "0" / RUN / "tags"), [("tags", f"{RUN}/tags", f"its file {LINKED}")]),
        (lambda root: link_to_secrets(root / "0" / RUN), [("runs", RUN, f"it {LINKED}")]),
        (lambda root: link_to_secrets(root / "0"), [("experiments", "0", f"it {LINKED}")]),
        (lambda root: link_to_secrets(root / ".trash"), [("experiments", ".trash", f"it {LINKED}")]),
        (lambda root: link_to_secrets(root / "models"), [("registered models", "models", f"it {LINKED}")]),
        (lambda root: link_to_secrets(root / "0" / "models"), [("logged models", "models", f"it {LINKED}")]),
        (
            lambda root: link_to_secrets(root / "0" / RUN / "metrics"),
            [("metric points", f"{RUN}/metrics", f"its file {LINKED}")],
        ),
        (
            lambda root: link_to_secrets(root / "0" / "datasets" / "d5"),
            [("dataset inputs", f"{RUN}/d5", f"of its dataset: it {LINKED}")],
        ),
        (lambda root: link_a_meta(root / "0" / RUN), [("runs", RUN, f"its meta.yaml {LINKED}")]),
        (
            lambda root: (root / "0" / RUN / "params" / "link").symlink_to("/etc/passwd"),
            [("params", f"{RUN}/link", f"its file {LINKED}")],
        ),
        (lambda root: pipe(root / "0" / RUN / "meta.yaml"), [("runs", RUN, "its meta.yaml is no regular file")]),
        (
            lambda root: pipe(root / "0" / RUN / "tags" / "f"),
            [("tags", f"{RUN}/f", "its file is no regular file")],
        ),
        (
            lambda root: pipe(root / "0" / RUN / "metrics" / "f"),
            [("metric points", f"{RUN}/f", "its file is no regular file")],
        ),
        (
            lambda root: pipe(root / "0" / "models" / MODEL / "metrics" / "f"),
            [("logged model metrics", f"{MODEL}/f", "its file is no regular file")],
        ),
        (
            lambda root: write(root / "0" / RUN / "meta.yaml", BRACKETS),
            [("runs", RUN, "its meta.yaml is no plain mapping: it is nested, or has too many parts")],
        ),
        (
            lambda root: write(root / "0" / RUN / "meta.yaml", BOMB),
            [("runs", RUN, "its meta.yaml is no plain mapping: it has an alias")],
        ),
        (
            lambda root: meta(root / "0" / RUN, run_id=RUN, experiment_id="0", status=[1, 2], tags=[]),
            [("runs", RUN, "in its meta.yaml status is no single value")],
        ),
        (
            lambda root: write(root / "0" / RUN / "meta.yaml", f"run_id: {'9' * 5000}"),
            [("runs", RUN, "its meta.yaml cannot be read: a number or date in it is none")],
        ),
        (
            lambda root: write(root / "0" / RUN / "meta.yaml", f"run_id: 0x{'f' * 5000}"),
            [("runs", RUN, "in its meta.yaml run_id is no single value")],
        ),
        (
            lambda root: write(root / "0" / RUN / "meta.yaml", f"name: {'x' * 70_000}"),
            [("runs", RUN, "its meta.yaml is too large")],
        ),
        (
            add_twins,
            [
                ("experiments", "0", "another experiment with this id is there, which is not in the trash"),
                ("runs", RUN, "another run with this id is there, in another experiment or beside the trash"),
                ("logged models", MODEL, "another logged model with this id is there, in another experiment"),
                ("registered models", "roses", "another registered model that is called 'iris' is there"),
                ("model versions", "iris/1", "another version with this number is there"),
            ],
        ),
    ],
)
def test_what_an_enemy_wrote_is_neither_followed_nor_waited_for(
    root: Path, harm: Any, listed: list[tuple[str, str, str]]
) -> None:
    harm(root)
    source = open_mlruns(str(root))
    counted, broken = given_by(source)
    assert set(listed) <= {(each.kind, each.id, each.reason) for each in broken}
    assert {kind: counted[kind] for kind in source.counts()} == source.counts()


def test_links_and_twins_leave_an_import_that_agrees(root: Path, store: Store) -> None:
    add_twins(root)
    (root / "0" / RUN / "params" / "link").symlink_to("/etc/passwd")
    (root / "0" / OTHER).symlink_to(root / "0" / RUN, target_is_directory=True)
    assert store.bring(root).agrees
    with store.opened() as stores:
        run = stores.tracking.run(RUN)
        assert (run.experiment_id, "link" in run.params) == ("0", False)
        assert len(stores.tracking.history(RUN, "loss", limit=1000).points) == 300


def test_a_directory_that_is_none_is_refused(tmp_path: Path, store: Store) -> None:
    (tmp_path / "else" / "notes").mkdir(parents=True)
    with pytest.raises(ImportFailed, match="no directory of MLflow's file store"):
        store.bring(tmp_path / "else")
