"""What locust files ask and what must come back. Pure."""

from __future__ import annotations

import random
from typing import Any

from models import ADDED

Rows = list[list[float]]


def random_rows(count: int, width: int = 2) -> Rows:
    """Whole numbers, so that sums are exact in any float."""
    return [[float(random.randrange(500)) for _ in range(width)] for _ in range(count)]


def body_for(inputs: list[dict[str, Any]], rows: int) -> dict[str, Any]:
    """A request body of so many rows for a model's signature: numbers for columns, or one array of its shape."""
    if "shape" in inputs[0]:
        return {"inputs": random_rows(rows, inputs[0]["shape"][1])}
    columns = [field["name"] for field in inputs]
    return {"dataframe_split": {"columns": columns, "data": random_rows(rows, len(columns))}}


def answered_rows(answer: dict[str, Any]) -> int:
    """How many rows an answer has; a model with several outputs gives as many of each."""
    predictions = answer["predictions"]
    return len(next(iter(predictions.values())) if isinstance(predictions, dict) else predictions)


def misfit(rows: Rows, version: str, answer: Any) -> str | None:
    """What is wrong with an answer of the model `adds`, whose version v adds 1000 × v; None where all fits."""
    if version not in ("1", "2"):
        return f"the version header says {version!r}"
    expected = {"predictions": {"y": [[value + ADDED * int(version) for value in row] for row in rows]}}
    if answer == expected:
        return None
    return f"version {version} was named, and the values are not its own: {str(answer)[:120]}"
