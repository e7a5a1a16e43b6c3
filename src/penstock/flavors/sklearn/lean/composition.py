"""Pipelines and column transformers: steps one after the other, and beside each other.

Source: scikit-learn 1.9, `pipeline.py`, `compose/_column_transformer.py`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from penstock.flavors.sklearn.lean.reviewed import builder_of
from penstock.flavors.sklearn.lean.step import Method, NotLean, Step


def step_of(model: Any, method: Method) -> Step:
    """An estimator's or transformer's step, with all that is in it. Raises NotLean."""
    if getattr(model, "_sklearn_output_config", None):
        raise NotLean(f"{type(model).__name__} has an output of its own")
    kind = f"{type(model).__module__}.{type(model).__name__}"
    if kind == "sklearn.pipeline.Pipeline":
        return _one_after_the_other([part for _, part in model.steps], method)
    if kind == "sklearn.compose._column_transformer.ColumnTransformer":
        return _beside_each_other(model)
    try:
        return builder_of(kind)(model, method)
    except AttributeError as error:
        raise NotLean(f"{type(model).__name__} lacks {error.name or 'an attribute'}") from error
    except NotLean as error:
        raise NotLean(f"{type(model).__name__}: {error}") from None


def _one_after_the_other(parts: list[Any], method: Method) -> Step:
    steps = [step_of(part, method) for part in parts if part is not None and part != "passthrough"]
    if not steps:
        raise NotLean("it has no steps")
    if len(steps) == 1:
        return steps[0]
    *before, last = steps

    def step(rows: Any) -> Any:
        for each in before:
            rows = each(rows)
        return last(rows)

    return step


def _beside_each_other(model: Any) -> Step:
    """Columns, each group through its own steps, one group after the other."""
    if model.sparse_output_:
        raise NotLean("ColumnTransformer answers with sparse rows")
    if getattr(model, "transformer_weights", None):
        raise NotLean("ColumnTransformer has weights")
    groups: list[tuple[Any, Step | None]] = []
    for name, part, _ in model.transformers_:
        if isinstance(part, str) and part == "drop":
            continue
        columns = np.asarray(model._transformer_to_input_indices[name], dtype=np.intp)
        if len(columns):
            groups.append((columns, None if _passes_through(part) else step_of(part, "predict")))
    if not groups:
        raise NotLean("ColumnTransformer has no columns")

    def step(rows: Any) -> Any:
        found = []
        for columns, through in groups:
            own = rows.take(columns, axis=1)
            found.append(own if through is None else through(own))
        return np.hstack(found)

    return step


def _passes_through(part: Any) -> bool:
    if isinstance(part, str):
        return part == "passthrough"
    return type(part).__name__ == "FunctionTransformer" and part.func is None and not part.validate
