"""The models that hostile bodies are sent to, one of each sort that reads its rows in another way.

iris          scikit-learn, data alone; four named columns of doubles
onehot        scikit-learn, data alone; a text column that is looked up, and a double
words         scikit-learn, data alone; a tensor of texts, cut into pieces of words
bare          scikit-learn, data alone, without a signature
tensor        ONNX; a tensor of floats (-1, 3) that is its own answer
echo          a Python function without a signature that answers with what it got; one param
typed         a Python function; columns of arrays, objects, bytes and dates, none of them required
typed-plain   a Python function; a column of dates, so that CSV can be sent
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from hostile.shapes import compact, split
from penstock.package.save import save_model
from penstock.signature import ArrayOf, Field, ObjectOf, Param, Property, Scalar, Signature

_ECHO = "def predict(inputs, params=None):\n    return inputs\n"
_COUNT = "def predict(inputs, params=None):\n    return [1] * len(inputs)\n"

_OBJECT = ObjectOf((Property("x", Scalar.DOUBLE), Property("y", Scalar.STRING, required=False)))
_TYPED = Signature(
    inputs=(
        Field("array", ArrayOf(Scalar.DOUBLE), required=False),
        Field("object", _OBJECT, required=False),
        Field("binary", Scalar.BINARY, required=False),
        Field("when", Scalar.DATETIME, required=False),
    )
)
_TYPED_PLAIN = Signature(inputs=(Field("when", Scalar.DATETIME),))
_ECHOED = Signature(params=(Param("offset", Scalar.DOUBLE, 0.0),))

# A row for each model that it answers.
GOOD_ROWS: dict[str, bytes] = {
    "iris": split([[5.1, 3.5, 1.4, 0.2]], columns=["sepal_length", "sepal_width", "petal_length", "petal_width"]),
    "onehot": split([["red", 1.0]], columns=["colour", "size"]),
    "words": compact({"inputs": ["a good thing"]}),
    "bare": split([[5.1, 3.5, 1.4, 0.2]]),
    "tensor": compact({"inputs": [[1.0, 2.0, 3.0]]}),
    "echo": split([[1]], columns=["a"]),
    "typed": compact({"dataframe_records": [{"array": [1.5], "when": "2024-01-01"}]}),
    "typed-plain": split([["2024-01-01"]], columns=["when"]),
}


def make_packages(place: Path) -> list[Path]:
    """Writes the packages into a directory; each is called as its model is. What is there already is kept."""
    place.mkdir(parents=True, exist_ok=True)
    (place / "echo.py").write_text(_ECHO)
    (place / "count.py").write_text(_COUNT)
    for name, (model, more) in _models(place).items():
        if not (place / name).exists():
            save_model(model, place / name, **more)
    return [place / name for name in GOOD_ROWS]


def _models(place: Path) -> dict[str, tuple[Any, dict[str, Any]]]:
    frame, target = _flowers()
    return {
        "iris": (_classifier().fit(frame, target), {"example": frame.iloc[::30]}),
        "bare": (_classifier().fit(frame.to_numpy(), target), {}),
        "onehot": _onehot(),
        "words": _words(),
        "tensor": (_identity(), {"example": np.arange(6, dtype=np.float32).reshape(2, 3)}),
        "echo": (place / "echo.py", {"signature": _ECHOED}),
        "typed": (place / "count.py", {"signature": _TYPED}),
        "typed-plain": (place / "count.py", {"signature": _TYPED_PLAIN}),
    }


def _flowers() -> tuple[Any, Any]:
    from sklearn.datasets import load_iris

    frame, target = load_iris(as_frame=True, return_X_y=True)
    return frame.set_axis(["sepal_length", "sepal_width", "petal_length", "petal_width"], axis=1), target


def _classifier() -> Any:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(max_iter=500)


def _onehot() -> tuple[Any, dict[str, Any]]:
    import pandas as pd
    from sklearn.compose import ColumnTransformer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder

    frame = pd.DataFrame({"colour": ["red", "green", "blue"] * 5, "size": np.arange(15.0)})
    columns = ColumnTransformer(
        [("colour", OneHotEncoder(handle_unknown="ignore"), ["colour"])], remainder="passthrough"
    )
    return make_pipeline(columns, _classifier()).fit(frame, [0, 1, 1] * 5), {"example": frame.head(3)}


def _words() -> tuple[Any, dict[str, Any]]:
    from sklearn.feature_extraction.text import HashingVectorizer
    from sklearn.linear_model import SGDClassifier
    from sklearn.pipeline import make_pipeline

    pieces = HashingVectorizer(analyzer="char", ngram_range=(1, 5), n_features=2**14)
    texts = ["a good thing", "a bad thing"]
    model = make_pipeline(pieces, SGDClassifier(random_state=0)).fit(texts * 5, [1, 0] * 5)
    return model, {"example": np.array(texts, dtype=object)}


def _identity() -> Any:
    from onnx import TensorProto, helper

    graph = helper.make_graph(
        [helper.make_node("Identity", ["x"], ["y"])],
        "identity",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 3])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, 3])],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
