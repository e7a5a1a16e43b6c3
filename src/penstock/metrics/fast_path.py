"""How many predictions took the fast path, and why the others did not."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from penstock.metrics.numbers import Number

FAST_PATH_DECLINES = (
    "size",
    "headers",
    "path",
    "slow_body",
    "draining",
    "token",
    "model",
    "input",
    "overloaded",
    "closing",
    "reader",
    "other",
)


class FastPathRequests(Collector):
    """Touched on the event loop only; handed to prometheus_client when it collects."""

    def __init__(self) -> None:
        self.taken = Number()
        self.declined = {reason: Number() for reason in FAST_PATH_DECLINES}

    def collect(self) -> Iterator[Metric]:
        text = "Predictions offered to the fast path: taken, or declined for the slow path, by the reason."
        family = CounterMetricFamily("penstock_fast_path_requests", text, labels=("outcome", "reason"))
        family.add_metric(("taken", ""), self.taken.value)
        for reason, number in self.declined.items():
            if not number.value:
                continue  # nobody waits for the first one
            family.add_metric(("declined", reason), number.value)
        yield family
