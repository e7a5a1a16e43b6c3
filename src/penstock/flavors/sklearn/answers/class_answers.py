"""Probabilities with the names of their classes, and labels beside them: a classifier's answer as a table.

This file is copied into packages whose classifier answers so, as code/penstock_sklearn.py: MLflow, whose own loader
answers with a bare array, calls its `_load_pyfunc` and answers the same table. Penstock runs the same code from its own
file, never from a package. Hence: what scikit-learn brings, pandas and PyYAML.

`predict_proba`, `predict_log_proba` and `predict_joint_log_proba` answer with a column for each class, called as the
class is; `both` with the label first, and the probabilities after it.
"""

import os
from typing import Any

BY_CLASS = ("predict_proba", "predict_log_proba", "predict_joint_log_proba")
BOTH = "both"


def class_names(estimator: Any) -> list[str] | None:
    """The classes as text, in the order of the probabilities; None for what is no classifier of one output."""
    classes = getattr(estimator, "classes_", None)
    if getattr(classes, "ndim", None) != 1:
        return None
    names = [str(one) for one in classes.tolist()]  # type: ignore[union-attr]
    return names if len(set(names)) == len(names) else None


def label_name(names: list[str]) -> str:
    """What the column of labels is called: no class has that name."""
    name = "label"
    while name in names:
        name = f"predicted_{name}"
    return name


def class_columns(estimator: Any, function: str, rows: Any) -> tuple[list[str], list[Any]]:
    """The names and columns (rows,) of the answer. Raises ValueError where it is not one value for each class."""
    names = class_names(estimator)
    values = getattr(estimator, "predict_proba" if function == BOTH else function)(rows)
    if names is None or getattr(values, "shape", ())[1:] != (len(names),):
        raise ValueError(f"{function} answers with one column for each class, and the model's answer has no such form")
    columns = list(values.T)
    if function != BOTH:
        return names, columns
    labels = estimator.predict(rows)
    if getattr(labels, "ndim", None) != 1:
        raise ValueError("both answers with one label for each row, and the model predicts several")
    return [label_name(names), *names], [labels.astype(object) if labels.dtype.kind in "US" else labels, *columns]


class ClassAnswers:
    """What MLflow calls, by the method that the package's `predict_fn` names."""

    def __init__(self, estimator: Any) -> None:
        self._estimator = estimator

    def _answer(self, function: str, rows: Any) -> Any:
        import pandas

        names, columns = class_columns(self._estimator, function, rows)
        return pandas.DataFrame(dict(zip(names, columns)))  # noqa: B905  (older Pythons, too)

    def predict_proba(self, model_input: Any) -> Any:
        return self._answer("predict_proba", model_input)

    def predict_log_proba(self, model_input: Any) -> Any:
        return self._answer("predict_log_proba", model_input)

    def predict_joint_log_proba(self, model_input: Any) -> Any:
        return self._answer("predict_joint_log_proba", model_input)

    def both(self, model_input: Any) -> Any:
        return self._answer(BOTH, model_input)


def _load_pyfunc(path: str, model_config: dict[str, Any] | None = None) -> ClassAnswers:
    """MLflow's entry: `path` is the package's directory."""
    import yaml

    with open(os.path.join(path, "MLmodel"), encoding="utf-8") as file:
        settings = yaml.safe_load(file)["flavors"]["sklearn"]
    model = os.path.join(path, settings["pickled_model"])
    if settings.get("serialization_format") == "skops":
        import skops.io

        return ClassAnswers(skops.io.load(model, trusted=settings.get("skops_trusted_types") or []))
    import joblib

    return ClassAnswers(joblib.load(model))
