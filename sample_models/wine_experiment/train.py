"""An experiment of twelve runs, each a wine classifier: python sample_models/wine_experiment/train.py

Logs params, the course of the loss, scores and the model of each run to where PENSTOCK_TRACKING_URI says: a hub, an
MLflow server, or without it ./penstock-registry. MLflow itself is not needed.
"""

from __future__ import annotations

from itertools import product
from typing import Any

from penstock import tracking

EXPERIMENT = "wine"
DEPTHS = (1, 2, 3)
RATES = (0.02, 0.1, 0.3, 1.0)
ROUNDS = 20


def load_rows() -> tuple[Any, Any, Any, Any]:
    """Chemistry of wines as frames (n, 13) and the cultivars' names (n,): to train on, to test on."""
    from sklearn.datasets import load_wine
    from sklearn.model_selection import train_test_split

    wine = load_wine(as_frame=True)
    names = wine.target_names[wine.target]
    return tuple(train_test_split(wine.data, names, test_size=0.4, random_state=3, stratify=names))


def train(depth: int, rate: float, rows: tuple[Any, Any, Any, Any]) -> str:
    """One run; its name."""
    from sklearn.ensemble import GradientBoostingClassifier
    from sklearn.metrics import accuracy_score, f1_score, log_loss

    train_rows, test_rows, train_names, test_names = rows
    with tracking.start_run(run_name=f"depth-{depth}-rate-{rate}") as run:
        tracking.log_params({"depth": depth, "rate": rate, "rounds": ROUNDS, "seed": 0})
        model = GradientBoostingClassifier(max_depth=depth, learning_rate=rate, n_estimators=ROUNDS, random_state=0)
        model.fit(train_rows, train_names)
        for step, chances in enumerate(model.staged_predict_proba(test_rows)):
            tracking.log_metric("loss", log_loss(test_names, chances), step=step)
        answers = model.predict(test_rows)
        tracking.log_metric("f1", f1_score(test_names, answers, average="macro"))
        tracking.log_metric("accuracy", accuracy_score(test_names, answers))
        tracking.log_model(model, "model", input_example=test_rows.head(3))
    return str(run.info.run_name)


def main() -> None:
    tracking.set_experiment(EXPERIMENT)
    rows = load_rows()
    names = [train(depth, rate, rows) for depth, rate in product(DEPTHS, RATES)]
    print(f"logged {len(names)} runs of experiment {EXPERIMENT} to {tracking.get_tracking_uri()}")


if __name__ == "__main__":
    main()
