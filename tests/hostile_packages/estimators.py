"""Estimators of reviewed types whose arrays or settings are made to do harm."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from hostile_packages.bases import Edit, arrays, iris, schema, tensor_package
from hostile_packages.package import EITHER, HostilePackage

_TEXT = json.dumps({"inputs": ["a" * 60 + "b"]}).encode()


def estimators() -> Iterator[HostilePackage]:
    for name, (make, edit) in _ARRAYS.items():
        yield HostilePackage("arrays", name, _made(make, edit), EITHER)
    yield HostilePackage(
        "text", "a pattern that never ends", _text("token_pattern", r"(?:a|aa|a)+$"), EITHER, body=_TEXT
    )
    yield HostilePackage(
        "text",
        "words that are names of files",
        _text("input", "filename"),
        EITHER,
        body=json.dumps({"inputs": ["/etc/passwd"]}).encode(),
    )
    yield HostilePackage("text", "words that are files", _text("input", "file"), EITHER, body=_TEXT)
    yield HostilePackage("text", "n-grams of ten thousand", _text("ngram_range", (1, 10_000)), EITHER, body=_TEXT)
    yield HostilePackage(
        "settings", "a thousand jobs", lambda place: tensor_package(place, _knn("brute", n_jobs=1000)), EITHER
    )
    yield HostilePackage(
        "settings",
        "a billion neighbours",
        lambda place: tensor_package(place, _knn("brute", n_neighbors=10**9)),
        EITHER,
    )


def _made(make: Callable[[], Any], edit: Edit) -> Callable[[Path], None]:
    return lambda place: tensor_package(place, make(), edit)


def _knn(algorithm: str, **settings: Any) -> Any:
    from sklearn.neighbors import KNeighborsClassifier

    return KNeighborsClassifier(3, algorithm=algorithm, leaf_size=5).fit(*iris()).set_params(**settings)


def _svc() -> Any:
    from sklearn.svm import SVC

    return SVC().fit(*iris())


def _forest() -> Any:
    from sklearn.ensemble import RandomForestClassifier

    return RandomForestClassifier(3, random_state=0).fit(*iris())


def _sparse_knn() -> Any:
    from sklearn.neighbors import KNeighborsClassifier

    rows, target = iris()
    sparse = import_module("scipy.sparse")  # which has no types
    return KNeighborsClassifier(3, algorithm="brute").fit(sparse.csr_matrix(rows), target)


def _logistic() -> Any:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(max_iter=500).fit(*iris())


def _kmeans() -> Any:
    from sklearn.cluster import KMeans

    return KMeans(3, n_init=1, random_state=0).fit(iris()[0])


def _order(a: Any) -> Any:
    """The order of 150 rows in an index, made to lead far outside."""
    is_order = a.dtype == np.int64 and a.ndim == 1 and len(a) == 150 and sorted(a) == list(range(150))
    return np.full_like(a, 2**40) if is_order else None


def _supports(a: Any) -> Any:
    return np.array([2**30, -(2**30), 0], a.dtype) if a.dtype == np.int32 and a.shape == (3,) else None


def _indices(name: str, content: bytes) -> bytes | None:
    if not name.endswith(".npz"):
        return None
    parts = dict(np.load(io.BytesIO(content)))
    parts["indices"] = np.full_like(parts["indices"], 2**30)
    made = io.BytesIO()
    np.savez(made, **parts)
    return made.getvalue()


def _nodes(a: Any) -> Any:
    if a.dtype.names is None or "left_child" not in a.dtype.names:
        return None
    forged = a.copy()
    forged["left_child"] = 2**30
    return forged


def _loop(a: Any) -> Any:
    if a.dtype.names is None or "left_child" not in a.dtype.names:
        return None
    forged = a.copy()
    forged["left_child"] = forged["right_child"] = 0
    return forged


_ARRAYS: dict[str, tuple[Callable[[], Any], Edit]] = {
    "a KD-tree that leads outside": (lambda: _knn("kd_tree"), arrays(_order)),
    "a ball tree that leads outside": (lambda: _knn("ball_tree"), arrays(_order)),
    "numbers of support vectors": (_svc, arrays(_supports)),
    "columns of a sparse matrix": (_sparse_knn, _indices),
    "nodes of trees that lead outside": (_forest, arrays(_nodes)),
    "nodes of trees that lead to themselves": (_forest, arrays(_loop)),
    "coefficients for other columns": (_logistic, arrays(lambda a: a[:, :1].copy() if a.ndim == 2 else None)),
    "coefficients without a number": (_logistic, arrays(lambda a: np.empty((0, 0)) if a.ndim == 2 else None)),
    "centres of other columns": (_kmeans, arrays(lambda a: a[:, :2].copy() if a.shape == (3, 4) else None)),
    "a number of columns that is none": (_logistic, schema(lambda text: text.replace('"content": "4"', '"content": "-4"'))),
}  # fmt: skip


def _text(setting: str, value: Any) -> Callable[[Path], None]:
    def make(place: Path) -> None:
        from sklearn.feature_extraction.text import CountVectorizer
        from sklearn.linear_model import LinearRegression
        from sklearn.pipeline import make_pipeline

        pieces = CountVectorizer(vocabulary=["a"], **{setting: value})
        tensor_package(place, make_pipeline(pieces, LinearRegression().fit([[0], [1]], [0, 1])), dtype="str")

    return make
