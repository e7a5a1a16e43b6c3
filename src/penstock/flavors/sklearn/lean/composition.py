"""Pipelines and column transformers: steps one after the other, and beside each other.

Source: scikit-learn 1.9, `pipeline.py`, `compose/_column_transformer.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from penstock.error_text import kind_of
from penstock.flavors.sklearn.lean.reviewed import builder_of
from penstock.flavors.sklearn.lean.step import Method, NotLean, Step


@dataclass(frozen=True, slots=True)
class SizedStep:
    """A step for rows of one width, and the width of what it gives, where those are rows again."""

    step: Step
    width: int


def step_of(model: Any, method: Method, width: int) -> SizedStep:
    """The step of an estimator or transformer, with all that is in it, for rows of this width. Raises NotLean."""
    if getattr(model, "_sklearn_output_config", None):
        raise NotLean(f"{type(model).__name__} has an output of its own")
    kind = f"{type(model).__module__}.{type(model).__name__}"
    try:
        if kind == "sklearn.pipeline.Pipeline":
            return _one_after_the_other([part for _, part in model.steps], method, width)
        if getattr(model, "n_features_in_", None) != width:
            raise NotLean(f"{type(model).__name__} is for other columns than it is given")
        if kind == "sklearn.compose._column_transformer.ColumnTransformer":
            return _beside_each_other(model, width)
        return SizedStep(builder_of(kind)(model, method, width), width)
    except NotLean as error:
        name = type(model).__name__
        raise NotLean(str(error) if name in str(error) or hasattr(model, "steps") else f"{name}: {error}") from None
    except Exception as error:  # its attributes are another's than those of a fitted one
        raise NotLean(f"{type(model).__name__} has another form: {kind_of(error)}") from error


def _one_after_the_other(parts: list[Any], method: Method, width: int) -> SizedStep:
    steps = []
    for part in parts:
        if part is not None and part != "passthrough":
            made = step_of(part, method, width)
            width = made.width
            steps.append(made.step)
    if not steps:
        raise NotLean("it has no steps")
    if len(steps) == 1:
        return SizedStep(steps[0], width)
    *before, last = steps

    def step(rows: Any) -> Any:
        for each in before:
            rows = each(rows)
        return last(rows)

    return SizedStep(step, width)


def _beside_each_other(model: Any, width: int) -> SizedStep:
    """Columns, each group through its own steps, one group after the other."""
    if model.sparse_output_:
        raise NotLean("ColumnTransformer answers with sparse rows")
    if getattr(model, "transformer_weights", None):
        raise NotLean("ColumnTransformer has weights")
    groups: list[tuple[Any, Step | None]] = []
    given = 0
    for name, part, _ in model.transformers_:
        if isinstance(part, str) and part == "drop":
            continue
        columns = np.asarray(model._transformer_to_input_indices[name], dtype=np.intp)
        if not len(columns):
            continue
        if not 0 <= columns.min() <= columns.max() < width:
            raise NotLean("ColumnTransformer names columns that there are not")
        made = None if _passes_through(part) else step_of(part, "predict", len(columns))
        groups.append((columns, None if made is None else made.step))
        given += len(columns) if made is None else made.width
    if not groups:
        raise NotLean("ColumnTransformer has no columns")

    def step(rows: Any) -> Any:
        found = []
        for columns, through in groups:
            own = rows.take(columns, axis=1)
            found.append(own if through is None else through(own))
        return np.hstack(found)

    return SizedStep(step, given)


def _passes_through(part: Any) -> bool:
    if isinstance(part, str):
        return part == "passthrough"
    return type(part).__name__ == "FunctionTransformer" and part.func is None and not part.validate
