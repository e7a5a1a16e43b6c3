"""What the store of these tests holds: runs whose ids, times and values are known."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from click.testing import Result

from penstock.fluent.transport.interface import TrackingTransport

RunCommand = Callable[..., Result]

START = 1_780_000_000_000
NAMES = ("ash", "birch", "cedar", "doubtful")


def fill(transport: TrackingTransport) -> None:
    """Experiments churn (four runs) and empty. Run i has the id iii…, depth i, f1 = 0.8 + i/20."""
    churn = transport.post("experiments/create", {"name": "churn"})["experiment_id"]
    transport.post("experiments/create", {"name": "empty"})
    for i, name in enumerate(NAMES):
        run_id = f"{i}a" * 16
        fields = {"experiment_id": churn, "run_name": name, "run_id": run_id, "user_id": "ann"}
        transport.post("runs/create", {**fields, "start_time": START + i * 1000})
        transport.post("runs/log-batch", {"run_id": run_id, **_logged(i)})
        ended = {"status": "FAILED" if i == 3 else "FINISHED", "end_time": START + i * 1000 + 90_000}
        transport.post("runs/update", {"run_id": run_id, **ended})
    dataset = {"name": "may", "digest": "4f2c", "source_type": "local", "source": "{}"}
    tags = [{"key": "mlflow.data.context", "value": "train"}]
    transport.post("runs/log-inputs", {"run_id": "1a" * 16, "datasets": [{"dataset": dataset, "tags": tags}]})


def _logged(i: int) -> dict[str, Any]:
    points = [
        {"key": "loss", "value": 1 / (step + 1 + i), "timestamp": START + step, "step": step} for step in range(50)
    ]
    metrics = [*points, {"key": "f1", "value": 0.8 + i / 20, "timestamp": START, "step": 0}]
    if i == 3:
        metrics.append({"key": "loss", "value": "NaN", "timestamp": START + 50, "step": 50})
    params = [("depth", i), ("seed", 7), *([("only", "here")] if i == 1 else [])]
    tags = [("team", "risk" if i % 2 else "ads"), *([("mlflow.parentRunId", "0a" * 16)] if i == 2 else [])]
    return {
        "metrics": metrics,
        "params": [{"key": key, "value": str(value)} for key, value in params],
        "tags": [{"key": key, "value": value} for key, value in tags],
    }
