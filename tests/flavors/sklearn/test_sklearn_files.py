"""Files of scikit-learn models: damaged, hostile, of another release, or not what they say."""

from __future__ import annotations

import os
import pickle
import sys
import threading
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import sklearn
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from penstock.errors import ArtifactInvalid, CodeMissing, CodeNotTrusted, PackagingFailed
from penstock.flavors import LoadContext
from penstock.flavors.frames import from_frame
from penstock.flavors.sklearn.estimator_files import skops_types, without_arrays
from penstock.flavors.sklearn.flavor import SklearnFlavor, SklearnOptions, _why_not
from penstock.flavors.sklearn.predictor import SklearnPredictor
from penstock.flavors.sklearn.writing.same_answers import same_answers
from penstock.manifest import Manifest

NUMBERS = pd.DataFrame(np.random.default_rng(7).normal(size=(60, 4)), columns=["d", "b", "a", "c"])
LABELS = np.where(NUMBERS["a"] + NUMBERS["b"] > 0, "yes", "no")


def written(place: Path, estimator: Any = None, **how: Any) -> tuple[Path, Manifest]:
    estimator = LogisticRegression().fit(NUMBERS, LABELS) if estimator is None else estimator
    place.mkdir(exist_ok=True)
    made = SklearnFlavor().write(estimator, place, SklearnOptions(**{"serialization": "skops", **how}))
    return place, Manifest({"flavors": dict(made.flavors)})


def load(place: Path, manifest: Manifest, *, trusted: bool = False) -> SklearnPredictor:
    return SklearnFlavor().load(LoadContext(place, manifest, trusted=trusted))


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: content[: len(content) // 2],
        lambda content: content[:-10],
        lambda content: content[:1],
        lambda content: b"",
        lambda content: b"garbage" * 50,
        lambda content: content.replace(b"schema.json", b"schemX.json"),
    ],
    ids=["half", "cut", "one byte", "empty", "garbage", "no schema"],
)
@pytest.mark.parametrize("serialization", ["skops", "cloudpickle"])
def test_damaged_files_are_named(tmp_path: Path, damage: Callable[[bytes], bytes], serialization: str) -> None:
    place, manifest = written(tmp_path, serialization=serialization)
    (file,) = [p for p in place.iterdir() if p.name.startswith("model.")]
    content = damage(file.read_bytes())
    if content == file.read_bytes():
        content = content[:-1]
    file.write_bytes(content)
    with pytest.raises(ArtifactInvalid, match=file.name.replace(".", r"\.")) as caught:
        load(place, manifest, trusted=True)
    assert len(caught.value.message) < 500


@pytest.mark.parametrize("byte", range(0, 4000, 97))
def test_one_wrong_byte_in_a_skops_file_never_runs_wild(tmp_path: Path, byte: int) -> None:
    place, manifest = written(tmp_path)
    content = bytearray((place / "model.skops").read_bytes())
    content[byte % len(content)] ^= 0xFF
    (place / "model.skops").write_bytes(content)
    try:
        made = load(place, manifest)
    except (ArtifactInvalid, CodeNotTrusted):
        return
    made.predict(from_frame(NUMBERS), {})  # in padding or a time stamp


class Exits:
    def __reduce__(self) -> Any:
        return (sys.exit, (3,))


class NeedsModule:
    def __reduce__(self) -> Any:
        return (__import__, ("no_such_module_for_pickles",))


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (pickle.dumps(Exits()), "SystemExit"),
        (pickle.dumps(NeedsModule()), "needs the module 'no_such_module_for_pickles'"),
        (pickle.dumps({"a": 1}), "holds a dict, which has no predict"),
        (pickle.dumps(StandardScaler()), "holds a StandardScaler, which has no predict"),
    ],
)
def test_pickles_of_something_else_are_refused(tmp_path: Path, content: bytes, why: str) -> None:
    place, manifest = written(tmp_path, serialization="cloudpickle")
    (place / "model.pkl").write_bytes(content)
    with pytest.raises((ArtifactInvalid, CodeMissing), match=why):
        load(place, manifest, trusted=True)


class Broken(LogisticRegression):  # type: ignore[misc]
    @property
    def predict_proba(self) -> Any:
        raise AttributeError("'Broken' object has no attribute 'multi_class'")


def test_a_function_that_cannot_be_used_is_not_called_missing() -> None:
    assert _why_not(Broken(), "predict_proba") == (
        "whose predict_proba() cannot be used: 'Broken' object has no attribute 'multi_class'"
    )
    assert _why_not(StandardScaler(), "predict") == "which has no predict()"
    assert _why_not(LogisticRegression(), "fit") == "which has no fit()"
    assert _why_not(LogisticRegression(), "predict_proba") == ""


@pytest.mark.parametrize("serialization", ["skops", "cloudpickle"])
def test_files_are_read_without_warnings(tmp_path: Path, serialization: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """One of another scikit-learn warns once, from the environment check, and not with every estimator in it."""
    monkeypatch.setattr(sklearn, "__version__", "1.0.0")
    monkeypatch.setattr(sklearn.base, "__version__", "1.0.0")
    place, manifest = written(
        tmp_path,
        make_pipeline(StandardScaler(), LogisticRegression()).fit(NUMBERS, LABELS),
        serialization=serialization,
    )
    monkeypatch.undo()
    assert manifest.flavors["sklearn"]["sklearn_version"] == "1.0.0"
    load(place, manifest, trusted=True).predict(from_frame(NUMBERS), {})
    assert SklearnFlavor().libraries(manifest) == {"scikit-learn": "1.0.0"}


def test_a_pickle_without_a_stated_format_is_a_pickle(tmp_path: Path) -> None:
    place, _ = written(tmp_path, serialization="cloudpickle")
    old = Manifest({"flavors": {"sklearn": {"pickled_model": "model.pkl"}}})
    assert [str(r) for r in SklearnFlavor().code_reasons(place, old)] == ["model.pkl is a pickle"]
    with pytest.raises(CodeNotTrusted):
        load(place, old)
    load(place, old, trusted=True)


@pytest.mark.parametrize("function", ["transform", "__init__", "fit", "score_samples", "predict_proba"])
def test_only_predict_functions_are_called(tmp_path: Path, function: str) -> None:
    place, manifest = written(tmp_path, LinearRegression().fit(NUMBERS, NUMBERS["a"]))
    sections = {**manifest.flavors, "python_function": {**manifest.flavors["python_function"], "predict_fn": function}}
    with pytest.raises(ArtifactInvalid, match=f"no {function}"):
        load(place, Manifest({"flavors": sections}))


def test_what_cannot_be_stored_is_said(tmp_path: Path) -> None:
    model = LogisticRegression().fit(NUMBERS, LABELS)
    model.lock_ = threading.Lock()
    with pytest.raises(PackagingFailed, match="cannot be pickled"):
        written(tmp_path / "a", model, serialization="cloudpickle")
    model.lock_ = open(os.devnull)  # noqa: SIM115
    try:
        with pytest.raises(PackagingFailed, match="skops cannot store"):
            written(tmp_path / "b", model)
    finally:
        model.lock_.close()


def test_answers_are_the_same_for_equal_labels_and_floats_to_rounding() -> None:
    assert same_answers([0.1, 0.2], [0.1, 0.2 + 1e-9])
    assert same_answers(np.array(["a"]), ["a"])
    assert same_answers([np.zeros(2), np.zeros(3)], [np.zeros(2), np.zeros(3)])
    assert not same_answers([0.1], [0.2])
    assert not same_answers([np.zeros(2), np.zeros(3)], [np.zeros(2), np.ones(3)])
    assert not same_answers([np.zeros(2)], [np.zeros(2), np.zeros(2)])
    assert not same_answers(np.zeros((2, 1)), np.zeros(2))
    assert not same_answers(np.array(["a"]), ["b"])


@pytest.mark.parametrize("make", [
    lambda: make_pipeline(StandardScaler(), LogisticRegression()),
    lambda: RandomForestClassifier(3),
    lambda: HistGradientBoostingClassifier(max_iter=3),
    lambda: KNeighborsClassifier(algorithm="kd_tree"),
    lambda: make_pipeline(FunctionTransformer(np.log1p), LogisticRegression()),
])  # fmt: skip
def test_the_types_of_a_file_are_listed_without_its_arrays(tmp_path: Path, make: Callable[[], Any]) -> None:
    from skops.io import dump, get_untrusted_types

    file = tmp_path / "model.skops"
    dump(make().fit(NUMBERS.abs(), LABELS), file)
    assert skops_types(file) == get_untrusted_types(file=file)
    assert len(without_arrays(file)) <= file.stat().st_size


@pytest.mark.parametrize("serialization", ["skops", "cloudpickle"])
def test_a_closed_model_holds_no_trees(tmp_path: Path, serialization: str) -> None:
    place, manifest = written(tmp_path, RandomForestClassifier(5).fit(NUMBERS, LABELS), serialization=serialization)
    predictor = load(place, manifest, trusted=True)
    trees = [weakref.ref(tree) for tree in predictor.estimator.estimators_]
    predictor.close()
    assert [tree() for tree in trees] == [None] * 5
    assert predictor.cyclic is (serialization == "cloudpickle")


def test_what_is_not_scikit_learns_is_left_alone_when_a_model_is_closed(tmp_path: Path) -> None:
    shared = SharedByOthers()
    predictor = SklearnPredictor(make_pipeline(shared, LogisticRegression()).fit(NUMBERS, LABELS), "predict")
    predictor.close()
    assert shared.kept == "kept"


class SharedByOthers(StandardScaler):  # type: ignore[misc]
    def __init__(self) -> None:
        super().__init__()
        self.kept = "kept"
