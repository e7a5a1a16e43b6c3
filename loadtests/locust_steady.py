"""A steady rate on every model of a gateway, in bodies of one to 64 rows; each answer must have as many.

locust -f loadtests/locust_steady.py [--host http://127.0.0.1:8080] [-u 16] [-t 30s]
"""

from __future__ import annotations

import random

import standing
from answers import answered_rows, body_for
from locust import FastHttpUser, constant_throughput, task

standing.defaults(headless=True, num_users=16, spawn_rate=16, run_time="30s")
standing.serve("iris", "forest-onnx", "adds-1")
standing.judge(lambda environment: [])

ROWS = (1, 1, 1, 1, 8, 64)


class Caller(FastHttpUser):
    """Sends 20 requests a second, each to a model by chance."""

    wait_time = constant_throughput(20)

    def on_start(self) -> None:
        names = [m["name"] for m in self.client.get("/models").json()["models"]]
        signatures = {
            name: self.client.get(f"/models/{name}", name="/models/{name}").json()["signature"] for name in names
        }
        self.inputs = {name: each["inputs"] for name, each in signatures.items() if each is not None}

    @task
    def predict(self) -> None:
        name, rows = random.choice(list(self.inputs)), random.choice(ROWS)
        body = body_for(self.inputs[name], rows)
        with self.client.post(f"/models/{name}/invocations", json=body, name=name, catch_response=True) as answer:
            if answer.status_code == 200 and answered_rows(answer.json()) != rows:
                answer.failure(f"{rows} rows were sent, {answered_rows(answer.json())} came back")
