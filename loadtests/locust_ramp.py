"""Twice as many callers every few seconds, until that brings no more answers: where a server is full, and what waiting
costs there. A refusal (429) is counted beside, anything else that is not an answer fails.

    locust -f loadtests/locust_ramp.py [--host http://127.0.0.1:8080] [--model NAME] [--rows 1000]

A body of 1000 rows keeps the server busier than locust, which sends a thousand or two requests a second at most: for
more, take loadtests/generator.py.
"""

from __future__ import annotations

import json
import time

import standing
from answers import body_for
from locust import FastHttpUser, LoadTestShape, constant, events, task
from locust.env import Environment
from ramp import Step, full, table

standing.defaults(headless=True)
standing.serve("forest-onnx")

SECONDS = 5.0
MOST_CALLERS = 256


@events.init_command_line_parser.add_listener
def _(parser: object) -> None:
    parser.add_argument("--model", default="forest-onnx", help="the model to ask")  # type: ignore[attr-defined]
    parser.add_argument("--rows", type=int, default=1000, help="of each body")  # type: ignore[attr-defined]


class Ramp(LoadTestShape):
    """The whole state: the callers of this step, when it began, and the steps that are over."""

    callers = 1
    began = 0.0
    steps: list[Step] = []  # noqa: RUF012

    def tick(self) -> tuple[int, float] | None:
        now = time.monotonic()
        if not self.began:
            Ramp.began = now
        if now - self.began >= SECONDS:
            entry = self.runner.stats.get(name_of(self.callers), "POST")
            p99 = float(entry.get_response_time_percentile(0.99) or 0)
            self.steps.append(Step(self.callers, entry.num_requests / (now - self.began), p99))
            if full(self.steps) or self.callers >= MOST_CALLERS:
                return None
            Ramp.callers, Ramp.began = self.callers * 2, now
        return self.callers, self.callers


def name_of(callers: int) -> str:
    return f"{callers} callers"


class Caller(FastHttpUser):
    wait_time = constant(0)

    def on_start(self) -> None:
        options = self.environment.parsed_options
        signature = self.client.get(f"/models/{options.model}", name="/models/{name}").json()["signature"]
        self.path = f"/models/{options.model}/invocations"
        self.body = json.dumps(body_for(signature["inputs"], options.rows)).encode()

    @task
    def predict(self) -> None:
        headers, name = {"content-type": "application/json"}, name_of(Ramp.callers)
        with self.client.post(self.path, data=self.body, headers=headers, name=name, catch_response=True) as answer:
            if answer.status_code == 429:
                answer.request_meta["name"] = "refused with 429"
                answer.success()


def problems(environment: Environment) -> list[str]:
    print(table(Ramp.steps))
    return [] if len(Ramp.steps) > 1 else ["The ramp ended before its second step."]


standing.judge(problems)
