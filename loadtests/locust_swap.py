"""Versions promoted and rolled back in the registry while callers go on. Fails on any failed request, on an answer whose
version header does not fit its values, and on a move that no answer shows within 15 seconds.

    locust -f loadtests/locust_swap.py [--host http://127.0.0.1:8080 --registry REGISTRY] [-u 16] [-t 30s]

A host must serve `adds` from that registry: python loadtests/models.py DIR --register REGISTRY makes it, and
penstock serve adds --registry REGISTRY serves it.
"""

from __future__ import annotations

import random
import time

import gevent
import standing
from answers import misfit, random_rows
from locust import FastHttpUser, constant_throughput, events, task
from locust.env import Environment

standing.defaults(headless=True, num_users=16, spawn_rate=16, run_time="30s")
standing.serve(registry=True)

SHOWN_WITHIN = 15.0
BETWEEN_MOVES = 0.5


class Moves:
    """Moves the alias to and fro. The whole state: when each version last answered, the moves made, what went wrong."""

    def __init__(self) -> None:
        self.answered: dict[str, float] = {}
        self.delays: list[float] = []
        self.problems: list[str] = []

    def go_on(self, registry: str) -> None:
        from penstock import open_registry

        opened = open_registry(registry)
        try:
            while True:
                self._move_to("2", lambda: opened.promote("adds", "2", by="locust"))
                self._move_to("1", lambda: opened.rollback("adds", by="locust"))
        except gevent.GreenletExit:
            raise
        except Exception as error:
            self.problems.append(f"A move failed: {error}")
        finally:
            opened.close()

    def _move_to(self, version: str, move: object) -> None:
        moved = time.monotonic()
        move()  # type: ignore[operator]
        while self.answered.get(version, 0.0) < moved:
            if time.monotonic() - moved > SHOWN_WITHIN:
                raise TimeoutError(f"version {version} did not answer within {SHOWN_WITHIN:g} s")
            gevent.sleep(0.01)
        self.delays.append(time.monotonic() - moved)
        gevent.sleep(BETWEEN_MOVES)

    def found(self, environment: Environment) -> list[str]:
        if self.delays:
            print(f"{len(self.delays)} moves; the slowest was seen after {max(self.delays):.2f} s")
        if len(self.delays) < 2:
            self.problems.append("Fewer than two moves were seen: run it longer.")
        return self.problems


moves = Moves()
standing.judge(moves.found)


@events.test_start.add_listener
def _(environment: Environment, **_: object) -> None:
    registry = environment.parsed_options.registry
    if not registry:
        moves.problems.append("With --host, name the registry that it follows: --registry.")
        return
    mover = gevent.spawn(moves.go_on, registry)
    events.test_stop.add_listener(lambda **_: mover.kill())


class Caller(FastHttpUser):
    wait_time = constant_throughput(30)

    @task
    def predict(self) -> None:
        rows, sent = random_rows(random.choice((1, 2, 8))), time.monotonic()
        path = "/models/adds/invocations"
        with self.client.post(path, json={"inputs": rows}, name="adds", catch_response=True) as answer:
            if answer.status_code != 200:
                return
            version = answer.headers["x-model-version"]
            if wrong := misfit(rows, version, answer.json()):
                answer.failure(wrong)
            moves.answered[version] = max(sent, moves.answered.get(version, 0.0))
