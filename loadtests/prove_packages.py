"""Puts every hostile package of tests/hostile_packages before a real gateway that trusts nobody's code, and tells which it bore: make prove-packages PROVE='--kind onnx'

A gateway of one worker, and one of two, serves a good model and follows a registry. Each package is registered there as the next model of a pattern, and promoted; where the
gateway serves it, it is sent its row. A package holds if the good model answered all the while and afterwards, what became of the package is what may, memory is back,
SIGTERM ends the gateway in time, nothing outside was written, and what stands outside was not told. Faults of the machine go by the same rules: a wall clock that jumps, /dev/shm that is small or gone, few files.
"""

from __future__ import annotations

import argparse
import http.client
import os
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from hostile_client import Asking, ask
from hostile_gateway import ANSWER, DRAIN, KEPT, Fault, Gateway, NotStarted

from hostile_packages.bases import ROW, iris_package
from hostile_packages.package import REFUSED, SERVED, HostilePackage
from hostile_packages.table import KINDS, TABLE

_SECRET = "root:x:0:0"  # of /etc/passwd, which many packages name
_MADE = (Path("/tmp/penstock-was-here"), Path("/tmp/x.so"))

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
    ended: float | None = None  # None where the gateway goes on
    faults: list[str] = field(default_factory=list)


class Ground:
    """Where packages are borne, one after another. A gateway goes on to the next one while what it was given was refused
    and nothing was amiss; after a package that was served it is ended, which must go in time, and another one begins."""

    def __init__(self, place: Path, workers: int, apart: bool) -> None:
        self._place, self._workers, self._apart = place, workers, apart
        self._gateway: Gateway | None = None  # and the number of packages so far, which names places
        self._count = 0
        iris_package(place / "good")

    def bear(self, hostile: HostilePackage) -> Seen:
        seen = Seen(hostile.kind, hostile.name, self._workers)
        self._count += 1
        place, name = self._place / f"hostile-{self._count}", f"h-{self._count:03}"
        hostile.make(place)
        gateway = self._gateway or self._begin(NONE)
        with Asking(gateway.port, "POST", "/models/good/invocations", ROW, patience=30, pause=0.05) as asking:
            gateway.put(name, place)
            seen.outcome = gateway.outcome(name)
            if seen.outcome == SERVED:
                _send(gateway, name, hostile)
            gateway.withdraw(name)
        seen.longest = asking.longest
        seen.faults = _amiss(gateway, seen)
        if seen.outcome not in hostile.outcomes:
            seen.faults.append(f"{seen.outcome}, where only {' or '.join(sorted(hostile.outcomes))} may be")
        if self._apart or seen.faults or seen.outcome != REFUSED:
            self.end(seen)
        shutil.rmtree(place, ignore_errors=True)
        return seen

    def stand(self, fault: Fault) -> Seen:
        """A fault of the machine, without a package."""
        self.end(None)
        seen = Seen("fault", fault.name, self._workers, SERVED)
        gateway = self._begin(fault)
        with Asking(gateway.port, "POST", "/models/good/invocations", ROW, patience=30) as asking:
            time.sleep(5)
        seen.longest = asking.longest
        seen.faults = _amiss(gateway, seen)
        self.end(seen)
        return seen

    def end(self, seen: Seen | None) -> None:
        """Ends the gateway that there is, if any. What is amiss counts for the package that was seen last."""
        gateway, self._gateway = self._gateway, None
        if gateway is None:
            return
        ended = gateway.stop()
        if seen is not None:
            seen.ended = ended
            if ended > DRAIN + 2:
                seen.faults.append(f"ended {ended:.1f} s after SIGTERM")
            seen.faults += _told(gateway.said())

    def _begin(self, fault: Fault) -> Gateway:
        own = Path(tempfile.mkdtemp(dir=self._place))
        self._gateway = Gateway(own, self._place / "good", self._place / "cache", self._workers, fault)
        return self._gateway


def _amiss(gateway: Gateway, seen: Seen) -> list[str]:
    faults = [] if gateway.good() else ["the good model does not answer"]
    if seen.longest > ANSWER:
        faults.append(f"a good answer took {seen.longest:.1f} s")
    seen.grown = gateway.settled(gateway.memory) - gateway.memory
    if seen.grown > KEPT:
        faults.append(f"{seen.grown / 1e6:.0f} MB are not back")
    if any(path.exists() for path in _MADE):
        faults.append("something was written outside")
    return faults + _told(gateway.said())


def _told(log: str) -> list[str]:
    return ["the log tells what stands outside, or moves a terminal"] if _SECRET in log or "\x1b" in log else []


def _send(gateway: Gateway, name: str, hostile: HostilePackage) -> None:
    """Its row, twice; the callers leave after the deadline."""

    def call() -> None:
        with suppress(OSError, http.client.HTTPException):
            ask(gateway.port, "POST", f"/models/{name}/invocations", hostile.body, 6)

    callers = [threading.Thread(target=call) for _ in range(2)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()


@contextmanager
def _place() -> Iterator[Path]:
    place = Path(tempfile.mkdtemp(prefix="prove-packages-"))
    try:
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)


def line(seen: Seen) -> str:
    verdict = "; ".join(seen.faults) or "holds"
    return f"{seen.kind:12} {seen.name:48} {seen.workers:3}  {seen.outcome:8} {1000 * seen.longest:7.0f} {seen.grown / 1e6:7.0f} {'-' if seen.ended is None else f'{seen.ended:.1f}':>6}  {verdict}"


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
        with _place() as place:
            ground = Ground(place, workers, options.apart)
            runs: list[Callable[[], Seen]] = [lambda h=h, g=ground: g.bear(h) for h in chosen]  # type: ignore[misc]
            runs += [lambda f=f, g=ground: g.stand(f) for f in faults]  # type: ignore[misc]
            for run in runs:
                try:
                    records.append(run())
                except NotStarted as error:
                    records.append(Seen("", "", workers, faults=[str(error)]))
                if run is runs[-1]:
                    ground.end(records[-1])
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
    parser.add_argument(
        "--apart", action="store_true", help="a gateway of its own for each package, also after a refusal"
    )
    parser.add_argument("--list", action="store_true", help="print what there is, and run nothing")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
