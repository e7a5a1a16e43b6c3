"""A `penstock serve` as a process whose log is read: when it began to load a version, when that answered."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from time import perf_counter
from typing import Any

from servers import ROOT

_READY_WITHIN = 180.0


@dataclass(frozen=True)
class Event:
    """One line of the log. `at` is on perf_counter, to the millisecond."""

    at: float
    message: str
    fields: dict[str, Any]


@dataclass(frozen=True)
class Watched:
    process: subprocess.Popen[str]
    port: int
    log: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def events(self) -> list[Event]:
        offset = time.time() - perf_counter()
        found = []
        for line in self.log.read_text(errors="replace").splitlines():
            try:
                fields = json.loads(line)
            except ValueError:
                continue  # half a line, or one of Python's own
            at = datetime.fromisoformat(fields["time"]).timestamp() - offset
            found.append(Event(at, fields["message"], fields))
        return found

    def moments(self, words: str) -> list[float]:
        """When it said so, each time."""
        return [event.at for event in self.events() if words in event.message]

    def workers(self) -> list[int]:
        """Process ids of the workers, or its own where it is the only one."""
        import psutil

        children = []
        for child in psutil.Process(self.process.pid).children():
            with suppress(psutil.NoSuchProcess):  # one that has just ended
                if "penstock.cli.worker" in child.cmdline():
                    children.append(child.pid)
        return children or [self.process.pid]

    def metric(self, name: str, **labels: str) -> float:
        """The sum of a metric's samples that have these labels."""
        from prometheus_client.parser import text_string_to_metric_families

        with urllib.request.urlopen(f"{self.url}/metrics", timeout=30) as answer:
            text = answer.read().decode()
        return sum(
            sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )


@contextmanager
def watched(
    *arguments: str, place: Path, cores: str | None = None, environment: dict[str, str] | None = None
) -> Iterator[Watched]:
    """`penstock serve` with these arguments, once it is ready; its log goes into `place`. Ends it in the end, and
    raises RuntimeError where that takes too long or fails."""
    log = place / f"serve-{time.monotonic_ns()}.log"
    pin = ["taskset", "-c", cores] if cores else []
    command = [*pin, sys.executable, "-m", "penstock", "serve", *arguments, "--port", "0", "--log-format", "json"]
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PENSTOCK_", "MLFLOW_"))}
    with log.open("wb") as words:
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=words, text=True, cwd=ROOT, env={**kept, **(environment or {})}
        )
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        if not line.startswith("serving on "):
            raise RuntimeError(f"{command} did not serve:\n{log.read_text()[-3000:]}")
        yield Watched(process, int(line.rpartition(":")[2]), log)
        process.send_signal(signal.SIGTERM)
        code = process.wait(120)
        if code:
            raise RuntimeError(f"The server ended with {code}:\n{log.read_text()[-3000:]}")
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        process.stdout.close()
