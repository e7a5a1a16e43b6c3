"""scikit-learn packages: every serialisation format, fitted on frames and on arrays, typed in many ways."""

from __future__ import annotations

import mlflow.sklearn
import numpy as np
import pandas as pd
from mlflow.models import infer_signature
from mlflow.types import DataType
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_iris
from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.tree import DecisionTreeClassifier

from contract.saving import columns, save, signed, tensors

IRIS = ["sepal_length", "sepal_width", "petal_length", "petal_width"]


def _iris() -> tuple[pd.DataFrame, np.ndarray]:
    data = load_iris(as_frame=True)
    return data.data.set_axis(IRIS, axis=1), data.target.to_numpy()


def _classifier():
    return make_pipeline(StandardScaler(), LogisticRegression(max_iter=500))


def skops_frame(name: str) -> None:
    x, y = _iris()
    model = _classifier().fit(x, y)
    signature = infer_signature(x, model.predict(x))
    example = x.iloc[:3]
    save(name, _save, sk_model=model, serialization_format="skops", signature=signature, input_example=example)


def cloudpickle_array(name: str) -> None:
    x, y = _iris()
    model = _classifier().fit(x.to_numpy(), y)
    signature = infer_signature(x.to_numpy(), model.predict(x.to_numpy()))
    save(name, _save, sk_model=model, serialization_format="cloudpickle", signature=signature)


def pickle_proba(name: str) -> None:
    x, y = _iris()
    model = _classifier().fit(x, y)
    save(
        name,
        _save,
        sk_model=model,
        serialization_format="pickle",
        signature=infer_signature(x, model.predict_proba(x)),
        pyfunc_predict_fn="predict_proba",
    )


def no_signature(name: str) -> None:
    x, y = _iris()
    save(name, _save, sk_model=_classifier().fit(x.to_numpy(), y), serialization_format="skops")


def text_and_numbers(name: str) -> None:
    """Columns of several types, labels that are text."""
    frame = pd.DataFrame({"city": ["Lyon", "Oslo", "Lyon", "Rome"] * 5, "age": range(20), "income": np.arange(20.0)})
    labels = np.array(["no", "yes"] * 10)
    encoder = ColumnTransformer([("city", OneHotEncoder(handle_unknown="ignore"), ["city"])], remainder="passthrough")
    model = make_pipeline(encoder, LogisticRegression(max_iter=2000)).fit(frame, labels)
    schema = columns((DataType.string, "city"), (DataType.long, "age"), (DataType.double, "income"))
    save(name, _save, sk_model=model, serialization_format="cloudpickle", signature=signed(schema))


def float32_columns(name: str) -> None:
    x = pd.DataFrame(np.arange(12).reshape(6, 2) / 3, columns=["a", "b"]).astype("float32")
    model = LinearRegression().fit(x, (x["a"] * 2 + x["b"]).astype("float32"))
    save(name, _save, sk_model=model, serialization_format="skops", signature=infer_signature(x, model.predict(x)))


def whole_numbers(name: str) -> None:
    x = pd.DataFrame({"i": np.arange(8, dtype="int32"), "l": np.arange(8) ** 2, "b": [True, False] * 4})
    model = DecisionTreeClassifier(random_state=0).fit(x, x["i"] > 3)
    schema = columns((DataType.integer, "i"), (DataType.long, "l"), (DataType.boolean, "b"))
    save(name, _save, sk_model=model, serialization_format="cloudpickle", signature=signed(schema))


def optional_columns(name: str) -> None:
    """Takes gaps, but all its columns all the same."""
    x = pd.DataFrame({"a": np.arange(60.0), "b": np.arange(60.0)[::-1]})
    x.loc[::7, "b"] = np.nan
    model = HistGradientBoostingRegressor(max_iter=3, random_state=0).fit(x, x["a"])
    schema = columns((DataType.double, "a"), (DataType.double, "b", False))
    save(name, _save, sk_model=model, serialization_format="pickle", signature=signed(schema))


def several_targets(name: str) -> None:
    x = np.arange(12.0).reshape(6, 2)
    model = LinearRegression().fit(x, np.c_[x[:, 0], x[:, 1] * 2])
    schema = tensors((np.dtype("float64"), (-1, 2)))
    save(name, _save, sk_model=model, serialization_format="skops", signature=signed(schema))


def forest(name: str) -> None:
    x, y = _iris()
    model = RandomForestClassifier(n_estimators=3, max_depth=3, random_state=0).fit(x, y)
    save(
        name,
        _save,
        sk_model=model,
        serialization_format="cloudpickle",
        signature=infer_signature(x, model.predict_log_proba(x)),
        pyfunc_predict_fn="predict_log_proba",
    )


def _save(**arguments) -> None:
    mlflow.sklearn.save_model(**arguments)


PACKAGES = {
    "sklearn_skops_frame": skops_frame,
    "sklearn_cloudpickle_array": cloudpickle_array,
    "sklearn_pickle_proba": pickle_proba,
    "sklearn_no_signature": no_signature,
    "sklearn_text_and_numbers": text_and_numbers,
    "sklearn_float32_columns": float32_columns,
    "sklearn_whole_numbers": whole_numbers,
    "sklearn_optional_columns": optional_columns,
    "sklearn_several_targets": several_targets,
    "sklearn_forest_log_proba": forest,
}
