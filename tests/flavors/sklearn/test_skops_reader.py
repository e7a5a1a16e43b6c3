"""Files read without skops hold what skops reads from them; what it refuses, or nobody reviewed, is left to it."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from types import FunctionType
from typing import Any
from zipfile import ZipFile

import numpy as np
import pytest
import skops.io
from sklearn.calibration import CalibratedClassifierCV
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.ensemble import (
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    IsolationForest,
    RandomForestClassifier,
    StackingClassifier,
    VotingClassifier,
)
from sklearn.feature_selection import SelectKBest
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge, SGDClassifier, TweedieRegressor
from sklearn.multioutput import MultiOutputClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    KBinsDiscretizer,
    MinMaxScaler,
    OneHotEncoder,
    OrdinalEncoder,
    StandardScaler,
)
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier
from sklearn.tree._tree import Tree

from penstock.flavors.sklearn.estimator_names import LOSSES
from penstock.flavors.sklearn.skops_reader import holds_usual_types, read_usual
from penstock.flavors.sklearn.trusted_types import TRUSTED_TYPES

RANDOM = np.random.default_rng(3)
X = RANDOM.normal(size=(60, 4))
Y = np.where(X[:, 0] + X[:, 1] > 0, "yes", "no")

USUAL: list[Callable[[], Any]] = [
    lambda: make_pipeline(StandardScaler(), LogisticRegression()),
    lambda: LinearRegression(positive=False),
    lambda: Ridge(alpha=np.float64(0.5)),
    lambda: RandomForestClassifier(3, class_weight={"yes": 2, "no": 1}),
    lambda: DecisionTreeClassifier(max_depth=2),
    lambda: IsolationForest(n_estimators=3),
    lambda: make_pipeline(SimpleImputer(strategy="median"), SelectKBest(k=2), GaussianNB()),
    lambda: make_pipeline(KBinsDiscretizer(3, encode="ordinal", dtype=np.float32), OrdinalEncoder(), SVC()),
    lambda: VotingClassifier([("a", GaussianNB()), ("b", LogisticRegression())]),
    lambda: StackingClassifier([("a", GaussianNB()), ("b", SVC())], cv=2),
    lambda: make_pipeline(FeatureUnion([("pca", PCA(2)), ("scaled", MinMaxScaler())]), KNeighborsClassifier()),
    lambda: CalibratedClassifierCV(GaussianNB(), cv=2),
    lambda: HistGradientBoostingClassifier(max_iter=2),
    lambda: GradientBoostingClassifier(n_estimators=2),
    lambda: SGDClassifier(),
    lambda: MLPClassifier(3, max_iter=200, tol=0.1, random_state=np.random.RandomState(5)),
    lambda: TweedieRegressor(power=1.5),
    lambda: make_pipeline(FunctionTransformer(np.abs), GaussianNB()),
]  # fmt: skip
LEFT_TO_SKOPS: list[Callable[[], Any]] = [
    lambda: make_pipeline(OneHotEncoder(handle_unknown="ignore"), SVC()),  # sparse vectors
    lambda: make_pipeline(FunctionTransformer(np.nan_to_num), GaussianNB()),
]


def written(directory: Path, estimator: Any) -> Path:
    path = directory / "model.skops"
    skops.io.dump(estimator, path)
    return path


def assert_same(one: Any, other: Any, seen: dict[int, int]) -> None:
    """Alike in every part, down to which parts are one object."""
    assert type(one) is type(other)
    if isinstance(one, np.ndarray) and one.dtype.names:
        assert all(np.array_equal(one[name], other[name]) for name in one.dtype.names)  # there is padding in between
    elif isinstance(one, (np.ndarray, np.generic)) and one.dtype != object:
        assert one.dtype == other.dtype
        assert np.array_equal(one, other, equal_nan=one.dtype.kind == "f")
    elif isinstance(one, (list, tuple, np.ndarray)):
        assert len(one) == len(other)
        for left, right in zip(one, other, strict=True):
            assert_same(left, right, seen)
    elif isinstance(one, dict):
        assert list(one) == list(other)
        assert_same(list(one.values()), list(other.values()), seen)
    elif isinstance(one, Tree) or f"{type(one).__module__}.{type(one).__name__}" in LOSSES:
        assert_same(one.__reduce__()[1:], other.__reduce__()[1:], seen)
    elif isinstance(one, np.random.RandomState):
        assert_same(one.get_state(legacy=False), other.get_state(legacy=False), seen)
    elif isinstance(one, np.random.Generator):
        assert_same(one.bit_generator.state, other.bit_generator.state, seen)
        assert_same(one.bit_generator.seed_seq.state, other.bit_generator.seed_seq.state, seen)  # type: ignore[attr-defined]
    elif hasattr(one, "__dict__") and not isinstance(one, (type, FunctionType, np.ufunc)):
        assert seen.setdefault(id(one), id(other)) == id(other)
        assert_same(vars(one), vars(other), seen)
    else:
        assert one == other or (one != one and other != other)


def labels(estimator: Any) -> Any:
    numbers = isinstance(estimator, (LinearRegression, Ridge, TweedieRegressor))
    return RANDOM.uniform(1, 2, size=60) if numbers else Y


@pytest.mark.parametrize("make", USUAL)
def test_what_is_read_is_what_skops_reads(tmp_path: Path, make: Callable[[], Any]) -> None:
    estimator = make()
    path = written(tmp_path, estimator.fit(X, labels(estimator)))
    ours, theirs = read_usual(path), skops.io.load(path, trusted=sorted(TRUSTED_TYPES))
    assert holds_usual_types(path)
    assert_same(ours, theirs, {})
    assert np.array_equal(ours.predict(X), estimator.predict(X))


@pytest.mark.parametrize("make", LEFT_TO_SKOPS)
def test_other_kinds_are_left_to_skops(tmp_path: Path, make: Callable[[], Any]) -> None:
    path = written(tmp_path, make().fit(X, Y))
    assert not holds_usual_types(path)
    assert read_usual(path) is None


def test_models_of_several_outputs_and_of_no_labels_answer_as_the_estimator(tmp_path: Path) -> None:
    several = MultiOutputClassifier(GaussianNB()).fit(X, np.column_stack([Y, Y[::-1]]))
    clusters = KMeans(3, n_init=1, random_state=0).fit(X)
    for estimator in (several, clusters):
        found = read_usual(written(tmp_path, estimator))
        assert np.array_equal(found.predict(X), estimator.predict(X))


def changed(path: Path, change: Callable[[dict[str, Any]], Any]) -> Path:
    """The file with another description."""
    with ZipFile(path) as archive:
        contents = {name: archive.read(name) for name in archive.namelist()}
    schema = json.loads(contents["schema.json"])
    change(schema)
    with ZipFile(path, "w") as archive:
        for name, content in {**contents, "schema.json": json.dumps(schema).encode()}.items():
            archive.writestr(name, content)
    return path


def node(loader: str, module: str, name: str, **more: Any) -> dict[str, Any]:
    return {"__loader__": loader, "__module__": module, "__class__": name, **more}


def plain(value: object) -> dict[str, Any]:
    return node("JsonNode", "builtins", "str", content=json.dumps(value))


def named(**values: Any) -> dict[str, Any]:
    types = node("ListNode", "builtins", "list", content=[node("TypeNode", "builtins", "str")] * len(values))
    return node("DictNode", "builtins", "dict", content=values, key_types=types)


def generator(bits: Any = "PCG64", **seed: Any) -> dict[str, Any]:
    state = named(state=plain(1), inc=plain(3))
    content = {
        "bit_generator": named(bit_generator=plain(bits), state=state, has_uint32=plain(0), uinteger=plain(0)),
        "seed_seq": named(**{name: plain(value) for name, value in {"entropy": 7, "pool_size": 4, **seed}.items()}),
    }
    return node("RandomGeneratorNode", "numpy.random._generator", "Generator", content=content)


EVIL = "untrusted_module_that_would_be_imported"
TUPLE = node("TupleNode", "builtins", "tuple", content=[])
KEYS = node("ListNode", "builtins", "list", content=[node("TypeNode", "builtins", "str")])


@pytest.mark.parametrize("planted", [
    node("ObjectNode", EVIL, "Thing"),
    node("ObjectNode", "os", "system"),
    node("ObjectNode", "sklearn.linear_model", "LogisticRegression"),  # its name here is another
    node("TypeNode", "os", "system"),
    node("TypeNode", "builtins", "eval"),
    node("FunctionNode", "os", "system"),
    node("FunctionNode", "builtins", "eval"),
    node("ListNode", EVIL, "list", content=[]),
    node("TupleNode", "collections", "namedtuple", content=[]),
    node("DictNode", EVIL, "dict", content={}, key_types=node("ListNode", "builtins", "list", content=[])),
    node("DictNode", "builtins", "dict", content={"a": node("TypeNode", "os", "system")}, key_types=KEYS),
    node("DictNode", "builtins", "dict", content={"a": node("JsonNode", "builtins", "str", content="1")},
         key_types=node("ListNode", "builtins", "list", content=[node("FunctionNode", "builtins", "eval")])),
    node("DictNode", "builtins", "dict", content={}, key_types=node("JsonNode", "builtins", "str", content="[]")),
    node("DTypeNode", "numpy", "dtype", content=node("ObjectNode", EVIL, "Thing")),
    node("DTypeNode", EVIL, "dtype", content=node("NdArrayNode", "numpy", "ndarray", type="numpy", file="x.npy")),
    node("NdArrayNode", EVIL, "ndarray", type="numpy", file="x.npy"),
    node("NdArrayNode", "numpy", "load", type="numpy", file="x.npy"),
    node("NdArrayNode", "numpy", "ndarray", type="json", content=[node("TypeNode", "os", "system")], shape=TUPLE),
    node("TreeNode", EVIL, "Tree", content=TUPLE, __reduce__={"args": TUPLE}),
    node("TreeNode", "sklearn.tree._tree", "Tree", content=TUPLE,
         __reduce__={"args": node("TypeNode", "os", "system")}),
    node("LossNode", "os", "system", content=TUPLE, __reduce__={"args": TUPLE}),
    node("LossNode", EVIL, "Hinge", content=TUPLE, __reduce__={"args": TUPLE}),
    node("LossNode", "sklearn.linear_model._sgd_fast", "Hinge", content=named(a=plain(1)), __reduce__={"args": TUPLE}),
    node("LossNode", "sklearn.linear_model._sgd_fast", "Hinge", content=TUPLE,
         __reduce__={"args": node("TupleNode", "builtins", "tuple", content=[node("TypeNode", "os", "system")])}),
    node("RandomStateNode", "os", "system", content=named()),
    node("RandomStateNode", "numpy.random.mtrand", "RandomState", content=node("ObjectNode", EVIL, "Thing")),
    node("FunctionNode", "numpy", "load"),
    generator() | {"__class__": "system", "__module__": "os"},
    generator("seed"),
    generator("Generator"),
    generator(["PCG64"]),
    generator(pool_size=1 << 40),
    generator(another=1),
    node("MethodNode", "os", "system", content={"func": "x", "obj": TUPLE}),
    node("OperatorFuncNode", "operator", "methodcaller", attrs=TUPLE),
    node("PartialNode", "functools", "partial", content={}),
    node("ConstructorFromReduceNode", "os", "system", content=TUPLE),
    node("JsonNode", "builtins", "str", content=["no text"]),
    {"__loader__": "ObjectNode"},
    {},
])  # fmt: skip
def test_what_was_planted_is_not_made(tmp_path: Path, planted: dict[str, Any]) -> None:
    """Also behind the number of something harmless that came before it."""
    path = written(tmp_path, LogisticRegression().fit(X, Y))
    for number in (None, "same"):

        def plant(schema: dict[str, Any], number: str | None = number) -> None:
            content = schema["content"]["content"]
            before = {} if number is None else {"__id__": content["C"]["__id__"]}
            content["tol"] = planted | before

        changed(path, plant)
        assert not holds_usual_types(path)
        assert read_usual(path) is None


def test_a_generator_of_random_numbers_is_made_with_its_state(tmp_path: Path) -> None:
    path = written(tmp_path, LogisticRegression().fit(X, Y))
    changed(path, lambda schema: schema["content"]["content"].update(tol=generator()))
    made = read_usual(path).tol
    assert isinstance(made, np.random.Generator)
    assert made.bit_generator.state["state"] == {"state": 1, "inc": 3}


@pytest.mark.parametrize("protocol", [0, 1, 3, True, "2", None])
def test_other_protocols_are_left_to_skops(tmp_path: Path, protocol: object) -> None:
    path = changed(written(tmp_path, GaussianNB().fit(X, Y)), lambda schema: schema.update(protocol=protocol))
    assert read_usual(path) is None


def test_arrays_are_never_pickles(tmp_path: Path) -> None:
    path = written(tmp_path, GaussianNB().fit(X, Y))
    with ZipFile(path) as archive:
        contents = {name: archive.read(name) for name in archive.namelist()}
    evil = tmp_path / "evil.npy"
    np.save(evil, np.array([{}], dtype=object), allow_pickle=True)
    for stored in (evil.read_bytes(), pickle.dumps({})):
        with ZipFile(path, "w") as archive:
            for name, content in contents.items():
                archive.writestr(name, stored if name.endswith(".npy") else content)
        assert read_usual(path) is None


def test_a_file_that_is_no_zip_or_missing_is_left_to_skops(tmp_path: Path) -> None:
    (tmp_path / "model.skops").write_bytes(b"PK no zip")
    for name in ("model.skops", "missing.skops"):
        assert read_usual(tmp_path / name) is None
        assert not holds_usual_types(tmp_path / name)


def test_another_scikit_learn_is_left_to_skops(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path, GaussianNB().fit(X, Y))
    monkeypatch.setattr("penstock.flavors.sklearn.skops_reader.installed_estimators", lambda: None)
    assert read_usual(path) is None
