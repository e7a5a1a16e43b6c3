"""What the diabetes model needs to know, as JSON: python sample_models/diabetes_python/train.py OUT_DIR

Writes facts.json (read by model.py), rows.csv (an example of what callers send), request.json (some of its rows with a
param, as a request body) and dataset.csv (the 111 patients who were used neither to fit nor to calibrate).
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

FEATURES = {
    "age": "age",
    "sex": "sex",
    "bmi": "body_mass_index",
    "bp": "blood_pressure",
    "s1": "total_cholesterol",
    "s2": "ldl",
    "s3": "hdl",
    "s4": "cholesterol_ratio",
    "s5": "log_triglycerides",
    "s6": "glucose",
}
EXAMPLE_ROWS = 5
INTERVAL = 0.9


def load_rows() -> dict[str, tuple[Any, Any]]:
    """Frame (n, 10) in clinical units and disease progression (n,), apart for fit, calibrate and score."""
    from sklearn.datasets import load_diabetes
    from sklearn.model_selection import train_test_split

    data = load_diabetes(as_frame=True, scaled=False)
    frame = data.data.rename(columns=FEATURES).astype("float64")
    rest, score, rest_y, score_y = train_test_split(frame, data.target, test_size=0.25, random_state=0)
    train, calibrate, train_y, calibrate_y = train_test_split(rest, rest_y, test_size=0.3, random_state=0)
    return {"fit": (train, train_y), "calibrate": (calibrate, calibrate_y), "score": (score, score_y)}


def fit() -> Any:
    """The fitted ridge regression over standardized measurements."""
    from sklearn.linear_model import RidgeCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(StandardScaler(), RidgeCV(alphas=[0.1, 1.0, 10.0, 30.0])).fit(*load_rows()["fit"])


def facts(pipeline: Any) -> dict[str, Any]:
    """All that model.py needs: the regression in the features' own units, the ranges seen, and how wrong it was on
    patients that it was not fitted on."""
    scaler, ridge = pipeline[0], pipeline[-1]
    train, _ = load_rows()["fit"]
    rows, truth = load_rows()["calibrate"]
    return {
        "features": list(FEATURES.values()),
        "average": scaler.mean_.tolist(),
        "slope": (ridge.coef_ / scaler.scale_).tolist(),
        "average_progression": float(ridge.intercept_),
        "lowest": train.min().tolist(),
        "highest": train.max().tolist(),
        "errors": sorted(abs(truth - pipeline.predict(rows)).tolist()),
    }


def request(rows: Any) -> dict[str, Any]:
    """A request body with the first patient, and with the same one with a blood glucose that the model never saw."""
    two = rows.iloc[[0, 0]].to_dict(orient="split", index=False)
    two["data"][1][-1] = 193.0
    return {"dataframe_split": two, "params": {"interval": INTERVAL}}


def main(out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    (out / "facts.json").write_text(json.dumps(facts(fit()), indent=1) + "\n", encoding="utf-8")
    rows, _ = load_rows()["score"]
    rows.head(EXAMPLE_ROWS).to_csv(out / "rows.csv", index=False)
    (out / "request.json").write_text(json.dumps(request(rows)) + "\n", encoding="utf-8")
    rows.to_csv(out / "dataset.csv", index=False)
    print(f"wrote facts.json, rows.csv, request.json and dataset.csv to {out}")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: train.py OUT_DIR")
    main(Path(sys.argv[1]))
