"""A gateway of one good model that follows a registry of hostile ones, with nothing of another gateway's."""

from __future__ import annotations

import http.client
import json
import os
import re
import resource
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hostile_client import ask
from memory_probe import family, held

from hostile_packages.bases import ROW
from hostile_packages.package import REFUSED, SERVED
from penstock.errors import PenstockError
from penstock.registry import open_registry
from penstock.registry.interface import NewVersion

DRAIN = 3.0
KEPT = 200_000_000  # bytes above those of before, once the package is gone
ANSWER = 5.0  # seconds that a good answer may take beside a hostile package, on a busy machine
_LOAD_TIMEOUT = 20.0
_OUTCOME_WITHIN = 90.0

CLOCK = """import random, time
_real, _began = time.time, time.monotonic()
time.time = lambda: _real() + (86_400 if int((time.monotonic() - _began) / 2) % 2 else -86_400)
"""


@dataclass(frozen=True)
class Fault:
    """What is wrong with the machine: how the command is begun, and with which variables."""

    name: str
    prefix: tuple[str, ...] = ()
    clock: bool = False
    files: int = 0


class NotStarted(Exception):
    """A gateway that did not come up, whose last words say why."""


class Gateway:
    """A gateway of the good model that follows a registry, with nothing of another one's."""

    def __init__(self, place: Path, good: Path, cache: Path, workers: int, fault: Fault) -> None:
        """`place` is an empty directory; `cache` may be another gateway's, whose proof of the good model then holds."""
        self._read = 0
        self.registry = open_registry(str(place / "registry"))
        self.registry.register("good", NewVersion(source=str(good)))  # an empty registry is none
        self.words = place / "log"
        environment = {k: v for k, v in os.environ.items() if not k.startswith(("PENSTOCK_", "MLFLOW_"))}
        if fault.clock:
            (place / "sitecustomize.py").write_text(CLOCK)
            environment["PYTHONPATH"] = str(place)
        command = [
            *fault.prefix, sys.executable, "-m", "penstock", "serve", f"good={good}", "h-*", "--registry", str(place / "registry"), "--cache", str(cache),
            "--port", "0", "--workers", str(workers), "--poll-interval", "0.3", "--load-timeout", f"{_LOAD_TIMEOUT:g}", "--timeout", "3", "--drain-timeout", f"{DRAIN:g}", "--drain-delay", "0",
        ]  # fmt: skip
        limit = (
            (lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (fault.files, fault.files))) if fault.files else None
        )
        with self.words.open("wb") as log:
            self.process = subprocess.Popen(
                command, stdout=log, stderr=log, env=environment, start_new_session=True, preexec_fn=limit
            )
        self.port = self._port()
        self.memory = self.settled()

    def _port(self) -> int:
        end = time.monotonic() + 90
        while time.monotonic() < end and self.process.poll() is None:
            if found := re.search(r"serving on http://[^:]+:(\d+)", self.words.read_text(errors="replace")):
                return int(found[1])
            time.sleep(0.05)
        self.stop()
        raise NotStarted(f"The gateway did not start: {self.words.read_text(errors='replace')[-500:]}")

    def put(self, name: str, package: Path) -> None:
        version = self.registry.register(name, NewVersion(source=str(package)))
        self.registry.promote(name, version.version, by="prove", reason="hostile")

    def outcome(self, name: str) -> str:
        """What became of a model: asked until the gateway says so."""
        end = time.monotonic() + _OUTCOME_WITHIN
        while time.monotonic() < end and self.process.poll() is None:
            with suppress(OSError, http.client.HTTPException, ValueError):
                status, answer = ask(self.port, "GET", f"/models/{name}", b"", 5)
                told: dict[str, Any] = json.loads(answer) if status == 200 else {}
                if told.get("version"):
                    return SERVED
                if told.get("failure") or name in self._refused():
                    return REFUSED
            time.sleep(0.1)
        return "died" if self.process.poll() is not None else "nothing"

    def _refused(self) -> str:
        return "\n".join(
            line
            for line in self.words.read_text(errors="replace").splitlines()
            if " ERROR " in line or " WARNING " in line
        )

    def withdraw(self, name: str) -> None:
        """Nobody names the package any more, so that it is neither served nor tried again."""
        with suppress(PenstockError):
            self.registry.remove_alias(name, "production", by="prove")

    def said(self) -> str:
        """What came into the log since this was asked last."""
        raw = self.words.read_bytes()[self._read :]
        self._read += len(raw)
        return raw.decode(errors="replace")

    def settled(self, wanted: int = 0) -> int:
        """The bytes it holds, once they are near what is wanted, or ten seconds later."""
        end = time.monotonic() + (10 if wanted else 1)
        while (now := held(self.process.pid)) - wanted > KEPT / 2 and time.monotonic() < end:
            time.sleep(0.2)
        return now

    def good(self) -> bool:
        with suppress(OSError, http.client.HTTPException):
            return ask(self.port, "POST", "/models/good/invocations", ROW, ANSWER)[0] == 200
        return False

    def stop(self) -> float:
        """Seconds from SIGTERM to the end; what it left behind is ended, too."""
        started = family(self.process.pid)
        began = time.monotonic()
        with suppress(ProcessLookupError):
            self.process.terminate()
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(DRAIN + 20)
        seconds = time.monotonic() - began
        for pid in started:  # of its own session alone
            with suppress(ProcessLookupError, PermissionError):
                if os.getsid(pid) == self.process.pid:
                    os.kill(pid, 9)
        self.process.wait()
        self.registry.close()
        return seconds
