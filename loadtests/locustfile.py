"""Steady load on a gateway: locust -f loadtests/locustfile.py --host http://127.0.0.1:8080 --headless -u 16 -t 30s

Each user asks the gateway for its models once, then sends rows that their signatures allow, of one to 64 rows.
"""

from __future__ import annotations

import random
from typing import Any

from locust import HttpUser, constant_pacing, task

ROWS = (1, 1, 1, 1, 8, 64)


class Caller(HttpUser):
    """Sends up to 50 requests a second, to every model in turn."""

    wait_time = constant_pacing(0.02)

    def on_start(self) -> None:
        names = [m["name"] for m in self.client.get("/models").json()["models"]]
        self.models = {name: self.client.get(f"/models/{name}").json()["signature"] for name in names}

    @task
    def predict(self) -> None:
        for name, signature in self.models.items():
            if signature is None:
                continue
            body = body_for(signature["inputs"], random.choice(ROWS))
            self.client.post(f"/models/{name}/invocations", json=body, name=f"{name}/invocations")


def body_for(inputs: list[dict[str, Any]], rows: int) -> dict[str, Any]:
    """A request body of so many rows: numbers for columns, or one array of the signature's shape."""
    if "shape" in inputs[0]:
        width = inputs[0]["shape"][1]
        return {"inputs": [[random.random() for _ in range(width)] for _ in range(rows)]}
    columns = [field["name"] for field in inputs]
    return {"dataframe_split": {"columns": columns, "data": [[random.random() for _ in columns] for _ in range(rows)]}}
