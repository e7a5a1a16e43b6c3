"""Puts every hostile package of tests/hostile_packages before a real gateway that trusts nobody's code, and tells which it bore: make prove-packages PROVE='--kind onnx'

A gateway of one worker, and one of two, serves a good model and follows a registry. Each package is registered there as the next model of a pattern, and promoted; where the
gateway serves it, it is sent its row. A package holds if the good model answered all the while and afterwards, what became of the package is what may, memory is back,
SIGTERM ends the gateway in time, nothing outside was written, and what stands outside was not told. Faults of the machine go by the same rules: a wall clock that jumps, /dev/shm that is small or gone, few files.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hostile_client import Asking, ask
from memory_probe import family, held

from hostile_packages.bases import ROW, iris_package
from hostile_packages.package import REFUSED, SERVED, HostilePackage
from hostile_packages.table import KINDS, TABLE
from penstock.registry import open_registry
from penstock.registry.interface import NewVersion

_LOAD_TIMEOUT = 20.0
_OUTCOME_WITHIN = 90.0
_DRAIN = 3.0
_ANSWER = 5.0  # seconds that a good answer may take beside a hostile package, on a busy machine
_KEPT = 200_000_000  # bytes above those of before, once the package is gone
_SECRET = "root:x:0:0"  # of /etc/passwd, which many packages name
_MADE = (Path("/tmp/penstock-was-here"), Path("/tmp/x.so"))

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


NONE = Fault("")
_MOUNT = 'mount -t tmpfs -o size={} tmpfs /dev/shm && exec "$@"'
FAULTS = (
    Fault("the wall clock jumps by a day, there and back, every 2 s", clock=True),
    Fault("/dev/shm of 64 kB", ("unshare", "-m", "sh", "-c", _MOUNT.format("64k"), "sh")),
    Fault("/dev/shm that nobody may write to", ("unshare", "-m", "sh", "-c", _MOUNT.format("4k,ro"), "sh")),
    Fault("200 files", files=200),
)


@dataclass
class Seen:
    """What became of one package, or under one fault, on so many workers."""

    kind: str
    name: str
    workers: int
    outcome: str = "nothing"
    longest: float = 0.0
    grown: int = 0
    ended: float = 0.0
    faults: tuple[str, ...] = ()


class NotStarted(Exception):
    """A gateway that did not come up, whose last words say why."""


class Gateway:
    """A gateway of the good model that follows a registry, with nothing of another one's."""

    def __init__(self, place: Path, good: Path, workers: int, fault: Fault) -> None:
        self.place = place
        self.registry = open_registry(str(place / "registry"))
        self.registry.register("good", NewVersion(source=str(good)))  # an empty registry is none
        self.words = place / "log"
        environment = {k: v for k, v in os.environ.items() if not k.startswith(("PENSTOCK_", "MLFLOW_"))}
        if fault.clock:
            (place / "sitecustomize.py").write_text(CLOCK)
            environment["PYTHONPATH"] = str(place)
        command = [
            *fault.prefix, sys.executable, "-m", "penstock", "serve", f"good={good}", "h-*", "--registry", str(place / "registry"), "--cache", str(place / "cache"),
            "--port", "0", "--workers", str(workers), "--poll-interval", "0.3", "--load-timeout", f"{_LOAD_TIMEOUT:g}", "--timeout", "3", "--drain-timeout", f"{_DRAIN:g}", "--drain-delay", "0",
        ]  # fmt: skip
        limit = (
            (lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (fault.files, fault.files))) if fault.files else None
        )
        with self.words.open("wb") as log:
            self.process = subprocess.Popen(
                command, stdout=log, stderr=log, env=environment, start_new_session=True, preexec_fn=limit
            )
        self.port = self._port()

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

    def good(self) -> bool:
        with suppress(OSError, http.client.HTTPException):
            return ask(self.port, "POST", "/models/good/invocations", ROW, _ANSWER)[0] == 200
        return False

    def stop(self) -> float:
        """Seconds from SIGTERM to the end; what it left behind is ended, too."""
        started = family(self.process.pid)
        began = time.monotonic()
        with suppress(ProcessLookupError):
            self.process.terminate()
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(_DRAIN + 20)
        seconds = time.monotonic() - began
        for pid in started:  # of its own session alone
            with suppress(ProcessLookupError, PermissionError):
                if os.getsid(pid) == self.process.pid:
                    os.kill(pid, 9)
        self.process.wait()
        self.registry.close()
        return seconds


def prove(hostile: HostilePackage | None, workers: int, fault: Fault = NONE) -> Seen:
    """One package, or a fault without any, before a gateway of its own."""
    seen = Seen(hostile.kind if hostile else "fault", hostile.name if hostile else fault.name, workers)
    faults: list[str] = []
    with _place() as place:
        iris_package(place / "good")
        gateway = Gateway(place, place / "good", workers, fault)
        try:
            before = _settled(gateway)
            with Asking(gateway.port, "POST", "/models/good/invocations", ROW, patience=30) as asking:
                if hostile is None:
                    time.sleep(5)
                    seen.outcome = SERVED
                else:
                    hostile.make(place / "hostile")
                    gateway.put("h-1", place / "hostile")
                    seen.outcome = gateway.outcome("h-1")
                    if seen.outcome == SERVED:
                        _send(gateway, hostile)
                        gateway.registry.remove_alias("h-1", "production", by="prove")
            seen.longest = asking.longest
            if not gateway.good():
                faults.append("the good model does not answer")
            seen.grown = _settled(gateway, before) - before
        finally:
            seen.ended = gateway.stop()
        said = gateway.words.read_text(errors="replace")
    if hostile is not None and seen.outcome not in hostile.outcomes:
        faults.append(f"{seen.outcome}, where only {' or '.join(sorted(hostile.outcomes))} may be")
    if seen.longest > _ANSWER:
        faults.append(f"a good answer took {seen.longest:.1f} s")
    if seen.grown > _KEPT:
        faults.append(f"{seen.grown / 1e6:.0f} MB are not back")
    if seen.ended > _DRAIN + 2:
        faults.append(f"ended {seen.ended:.1f} s after SIGTERM")
    if any(path.exists() for path in _MADE):
        faults.append("something was written outside")
    if _SECRET in said or "\x1b" in said:
        faults.append("the log tells what stands outside, or moves a terminal")
    seen.faults = tuple(faults)
    return seen


def _send(gateway: Gateway, hostile: HostilePackage) -> None:
    """Its row, twice; the callers leave after the deadline."""

    def call() -> None:
        with suppress(OSError, http.client.HTTPException):
            ask(gateway.port, "POST", "/models/h-1/invocations", hostile.body, 6)

    callers = [threading.Thread(target=call) for _ in range(2)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()


def _settled(gateway: Gateway, wanted: int = 0) -> int:
    """What the gateway holds, once that is near what is wanted, or ten seconds later."""
    end = time.monotonic() + (10 if wanted else 1)
    while (now := held(gateway.process.pid)) - wanted > _KEPT / 2 and time.monotonic() < end:
        time.sleep(0.2)
    return now


@contextmanager
def _place() -> Iterator[Path]:
    place = Path(tempfile.mkdtemp(prefix="prove-packages-"))
    try:
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)


def line(seen: Seen) -> str:
    verdict = "; ".join(seen.faults) or "holds"
    return f"{seen.kind:12} {seen.name:48} {seen.workers:3}  {seen.outcome:8} {1000 * seen.longest:7.0f} {seen.grown / 1e6:7.0f} {seen.ended:6.1f}  {verdict}"


HEADER = f"{'kind':12} {'name':48} {'wrk':3}  {'outcome':8} {'good ms':>7} {'kept MB':>7} {'end s':>6}  verdict"


def main() -> int:
    options = _options()
    chosen = [h for h in TABLE if (not options.kind or h.kind in options.kind) and options.only in (None, h.name)]
    faults = [f for f in FAULTS if (not options.kind or "fault" in options.kind) and options.only in (None, f.name)]
    if options.list:
        for hostile in chosen:
            print(f"{hostile.kind:12} {hostile.name}")
        for fault in faults:
            print(f"{'fault':12} {fault.name}")
        return 0
    if faults and (os.geteuid() != 0 or shutil.which("unshare") is None):
        print("Faults of /dev/shm need root and unshare; they are left out.", file=sys.stderr)
        faults = [fault for fault in faults if not fault.prefix]
    for path in _MADE:
        path.unlink(missing_ok=True)
    records: list[Seen] = []
    print(HEADER, flush=True)
    for workers in options.workers or (1, 2):
        runs: list[Callable[[], Seen]] = [lambda h=h, w=workers: prove(h, w) for h in chosen]  # type: ignore[misc]
        runs += [lambda f=f, w=workers: prove(None, w, f) for f in faults]  # type: ignore[misc]
        for run in runs:
            try:
                records.append(run())
            except NotStarted as error:
                records.append(Seen("", "", workers, faults=(str(error),)))
            print(line(records[-1]), flush=True)
    bad = [seen for seen in records if seen.faults]
    print(f"{len(records)} runs, {len(records) - len(bad)} hold, {len(bad)} do not.")
    return int(bool(bad))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--kind", choices=(*KINDS, "fault"), action="append", help="packages of this kind alone; may be repeated"
    )
    parser.add_argument("--only", metavar="NAME", help="the package or fault of this name alone")
    parser.add_argument("--workers", type=int, action="append", help="so many workers; may be repeated (1 and 2)")
    parser.add_argument("--list", action="store_true", help="print what there is, and run nothing")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
