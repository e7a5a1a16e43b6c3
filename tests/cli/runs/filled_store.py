"""What the store of these tests holds: runs whose ids, times and values are known."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from click.testing import Result

from penstock.fluent.transport.interface import TrackingTransport

RunCommand = Callable[..., Result]

START = 1_780_000_000_000
NAMES = ("ash", "birch", "cedar", "doubtful")


def fill(transport: TrackingTransport) -> list[str]:
    """Experiments churn (four runs) and empty. The ids of the runs, where they may be chosen 0a0a…, 1a1a… Run i has
    depth i and f1 = 0.8 + i/20."""
    churn = transport.post("experiments/create", {"name": "churn"})["experiment_id"]
    transport.post("experiments/create", {"name": "empty"})
    ids: list[str] = []
    for i, name in enumerate(NAMES):
        fields = {"experiment_id": churn, "run_name": name, "user_id": "ann", "start_time": START + i * 1000}
        fields |= {"run_id": f"{i}a" * 16} if transport.takes_run_ids else {}
        run_id = transport.post("runs/create", fields)["run"]["info"]["run_id"]
        ids.append(run_id)
        transport.post("runs/log-batch", {"run_id": run_id, **_logged(i, parent=ids[0])})
        ended = {"status": "FAILED" if i == 3 else "FINISHED", "end_time": START + i * 1000 + 90_000}
        transport.post("runs/update", {"run_id": run_id, **ended})
    dataset = {"name": "may", "digest": "4f2c", "source_type": "local", "source": "{}"}
    tags = [{"key": "mlflow.data.context", "value": "train"}]
    transport.post("runs/log-inputs", {"run_id": ids[1], "datasets": [{"dataset": dataset, "tags": tags}]})
    return ids


def _logged(i: int, parent: str) -> dict[str, Any]:
    points = [
        {"key": "loss", "value": 1 / (step + 1 + i), "timestamp": START + step, "step": step} for step in range(50)
    ]
    metrics = [*points, {"key": "f1", "value": 0.8 + i / 20, "timestamp": START, "step": 0}]
    if i == 3:
        metrics.append({"key": "loss", "value": "NaN", "timestamp": START + 50, "step": 50})
    params = [("depth", i), ("seed", 7), *([("only", "here")] if i == 1 else [])]
    tags = [("team", "risk" if i % 2 else "ads"), *([("mlflow.parentRunId", parent)] if i == 2 else [])]
    return {
        "metrics": metrics,
        "params": [{"key": key, "value": str(value)} for key, value in params],
        "tags": [{"key": key, "value": value} for key, value in tags],
    }
