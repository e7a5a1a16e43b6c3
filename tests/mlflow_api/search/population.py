"""What the recorded searches look at: sixteen of each entity, the same for MLflow and for us.

Plain values, since both Pythons read this. What is None, or missing from a mapping, is not there.
"""

from __future__ import annotations

import math
import sys
from typing import Any

SIZE = 16

TEXTS = ["x", "X", "abc", "Abc", "a%c", "a_c", "it's", "1", "10", "2", "true", "a.b/c", 'say "x"', "ab\\c", "é", ""]
NUMBERS = [0.0, 1.0, 0.5, -1.5, 1e300, math.nan, sys.float_info.max, -sys.float_info.max, 2.0, 10.0]
METRICS = ["a", "loss", "val loss", "m.n", "a.b/c"]
PARAMS = ["p", "depth", "a b", "a.b/c"]
TAGS = ["t", "team", "mlflow.user", "a-b"]
STATUSES = ["RUNNING", "SCHEDULED", "FINISHED", "FAILED", "KILLED"]
LOGGED_STATUSES = ["PENDING", "READY", "FAILED"]
DATASETS = [("d1", "1a", "train"), ("d1", "2b", "eval"), ("d2", "1a", None), ("D1", "3c", "Train")]
IS_PROMPT = "mlflow.prompt.is_prompt"


def run(i: int) -> dict[str, Any]:
    return {
        "run_id": f"{(i * 7) % SIZE:02x}ab",
        "run_name": TEXTS[(i * 3) % 16] or "run",
        "user_id": ["ann", "bob", "Bob"][i % 3],
        "status": STATUSES[i % 5],
        "start_time": 1000 + (i * 5) % 7,
        "end_time": None if i % 4 == 0 else 2000 + (i * 3) % 5,
        "artifact_uri": f"s3://Bucket/{i % 3}",
        "metrics": {key: NUMBERS[(i * (n + 1) + n) % 10] for n, key in enumerate(METRICS) if (i + n) % 4},
        "params": {key: TEXTS[(i * (n + 3)) % 16] for n, key in enumerate(PARAMS) if (i + n) % 3},
        "tags": {key: TEXTS[(i * (n + 5) + n) % 16] for n, key in enumerate(TAGS) if (i + n) % 3},
        "datasets": [dataset for n, dataset in enumerate(DATASETS) if (i + n) % 5 == 0],
    }


def experiment(i: int) -> dict[str, Any]:
    return {
        "experiment_id": i + 1 if i < 12 else i * 20,
        "name": f"{TEXTS[i] or 'e'}-{i % 4}",
        "creation_time": 1000 + (i * 5) % 7,
        "last_update_time": 2000 + i % 4,
        "tags": {key: TEXTS[(i * (n + 5) + n) % 16] for n, key in enumerate(TAGS) if (i + n) % 3},
    }


def registered_model(i: int) -> dict[str, Any]:
    tags = {key: TEXTS[(i * (n + 5) + n) % 16] for n, key in enumerate(TAGS) if (i + n) % 3}
    if i % 5 == 0:
        tags[IS_PROMPT] = "true"
    elif i == 7:
        tags[IS_PROMPT] = "false"
    return {
        "name": f"{TEXTS[i] or 'm'}-{i % 4}",
        "creation_timestamp": 1000 + i % 6,
        "last_updated_timestamp": 2000 + (i * 5) % 7,
        "tags": tags,
    }


def model_version(i: int) -> dict[str, Any]:
    """Four versions of each of four models, of which the last is a prompt."""
    tags = {key: TEXTS[(i * (n + 5) + n) % 16] for n, key in enumerate(TAGS) if (i + n) % 3}
    if i % 4 == 3:
        tags[IS_PROMPT] = "true"
    return {
        "name": ["iris", "Iris", "wine", "prompt"][i % 4],
        "version_number": 1 + i // 4 if i < 12 else 10,
        "run_id": ["abab", "cdcd", ""][i % 3],
        "source_path": f"s3://Bucket/{TEXTS[i]}",
        "creation_timestamp": 1000 + i % 6,
        "last_updated_timestamp": 2000 + (i * 5) % 7,
        "tags": tags,
    }


def logged_model(i: int) -> dict[str, Any]:
    """Metrics have a dataset each: (key, value, name, digest)."""
    return {
        "model_id": f"m-{(i * 7) % SIZE:02x}ab",
        "experiment_id": i + 1 if i < 12 else i * 20,
        "name": TEXTS[(i * 3) % 16] or "model",
        "artifact_location": f"s3://Bucket/{i % 3}",
        "creation_timestamp_ms": 1000 + (i * 5) % 7,
        "last_updated_timestamp_ms": 2000 + i % 4,
        "status": LOGGED_STATUSES[i % 3],
        "model_type": None if i % 4 == 0 else TEXTS[i % 5],
        "source_run_id": None if i % 5 == 0 else "abab",
        "status_message": None,
        "params": {key: TEXTS[(i * (n + 3)) % 16] for n, key in enumerate(PARAMS) if (i + n) % 3},
        "tags": {key: TEXTS[(i * (n + 5) + n) % 16] for n, key in enumerate(TAGS) if (i + n) % 3},
        "metrics": [
            (key, number, *DATASETS[(i + n) % 4][:2])
            for n, key in enumerate(METRICS)
            if (i + n) % 4 and not math.isnan(number := NUMBERS[(i * (n + 1) + n) % 10])
        ],
    }


POPULATION: dict[str, list[dict[str, Any]]] = {
    "runs": [run(i) for i in range(SIZE)],
    "experiments": [experiment(i) for i in range(SIZE)],
    "registered models": [registered_model(i) for i in range(SIZE)],
    "model versions": [model_version(i) for i in range(SIZE)],
    "logged models": [logged_model(i) for i in range(SIZE)],
}
