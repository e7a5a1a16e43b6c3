"""Two versions of an iris classifier: python sample_models/iris_sklearn/train.py OUT_DIR

Writes v1.joblib, v2.joblib, rows.csv (an example of what callers send) and dataset.csv (all 150 flowers, to score).
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

FEATURES = ["sepal_length", "sepal_width", "petal_length", "petal_width"]

# One clear case of each species, and two flowers between versicolor and virginica, about which the versions differ.
EXAMPLE_ROWS = [0, 60, 120, 77, 133]


def load_rows() -> tuple[Any, Any]:
    """Measurements in centimetres as a frame (150, 4), and the species' names (150,)."""
    from sklearn.datasets import load_iris

    iris = load_iris(as_frame=True)
    frame = iris.data.set_axis(FEATURES, axis=1)
    return frame, iris.target_names[iris.target]


def fit(version: int) -> Any:
    """The fitted pipeline of version 1 or 2. Both take the same columns and answer with a species' name."""
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    frame, species = load_rows()
    last = {
        1: LogisticRegression(max_iter=500),
        2: HistGradientBoostingClassifier(max_iter=30, min_samples_leaf=10, random_state=0),
    }[version]
    return make_pipeline(StandardScaler(), last).fit(frame, species)


def main(out: Path) -> None:
    import joblib

    out.mkdir(parents=True, exist_ok=True)
    for version in (1, 2):
        joblib.dump(fit(version), out / f"v{version}.joblib")
    frame, _ = load_rows()
    frame.iloc[EXAMPLE_ROWS].to_csv(out / "rows.csv", index=False)
    frame.to_csv(out / "dataset.csv", index=False)
    print(f"wrote v1.joblib, v2.joblib, rows.csv and dataset.csv to {out}")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: train.py OUT_DIR")
    main(Path(sys.argv[1]))
