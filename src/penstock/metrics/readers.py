"""What reader processes do: tasks, how long they wait and take, and the processes that had to be ended."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from penstock.metrics.numbers import Distribution, Number

READER_TASKS = ("read", "write")

# Why a reader was ended, or ended: it took too long or too much memory, it crashed, it got next to no processor time,
# its caller had left or its deadline had passed.
READER_KILLS = ("time", "memory", "crash", "starved", "caller")

_SECONDS = (0.001, 0.005, 0.025, 0.1, 0.25, 1, 2.5, 10)


class ReaderMetrics(Collector):
    """Touched on the event loop only; handed to prometheus_client when it collects."""

    def __init__(self) -> None:
        self.processes = Number()
        self.waiting = Number()
        self.wait = {task: Distribution(_SECONDS) for task in READER_TASKS}
        self.seconds = {task: Distribution(_SECONDS) for task in READER_TASKS}
        self.kills = {reason: Number() for reason in READER_KILLS}

    def collect(self) -> Iterator[Metric]:
        yield GaugeMetricFamily("penstock_reader_processes", "Reader processes.", self.processes.value)
        yield GaugeMetricFamily(
            "penstock_reader_queue_tasks", "Bodies and answers that wait for a reader process.", self.waiting.value
        )
        for name, text, values in (
            ("wait", "Time that a body or an answer waited for a reader process.", self.wait),
            ("task", "Time that a reader process took to read a body, or to write an answer.", self.seconds),
        ):
            family = HistogramMetricFamily(f"penstock_reader_{name}_seconds", text, labels=("task",))
            for task, value in values.items():
                family.add_metric((task,), value.cumulative(), value.total)
            yield family
        kills = CounterMetricFamily(
            "penstock_reader_kills", "Reader processes that ended before their task, by the reason.", labels=("reason",)
        )
        for reason, number in self.kills.items():
            kills.add_metric((reason,), number.value)
        yield kills
