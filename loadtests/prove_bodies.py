"""Sends every hostile body of tests/hostile to a real server and tells which it bore: make prove-bodies PROVE='--kind csv'

While a body is read, one client asks for /livez and another sends a good row to the first model. A body holds if nobody waited long, memory
stayed within its budget, an answer came in time, and a good request to the same model is answered right afterwards. A body that ends the server, or from which
it does not come back, fails; the table goes on with a new server.
"""

from __future__ import annotations

import argparse
import http.client
import json
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from body_verdict import HEADER, Bounds, Seen, line, summary
from guarded_server import GuardedServer
from hostile_client import NO_ANSWER, Asking, ask, send
from memory_probe import MemoryProbe, held

from hostile.body import HostileBody
from hostile.packages import GOOD_ROWS, make_packages
from hostile.table import KINDS, TABLE
from penstock.defaults import MAX_BODY_BYTES

_TIMEOUT = 10.0  # the server's deadline
_PATIENCE = 40.0  # after this the server is taken for wedged
_SETTLED = 0.08  # seconds of asking before a body is sent, for connections to be there
_KEPT = 300_000_000  # bytes that a server may keep of earlier bodies before a new one takes its place
_NOISE = 0.3  # a stall up to this may be another process's doing, and is measured once more


class Proof:
    """Runs bodies against one server after the other."""

    def __init__(self, packages: list[Path], max_body: int) -> None:
        self._start: Callable[[], GuardedServer] = lambda: GuardedServer(packages, max_body=max_body, timeout=_TIMEOUT)
        self.bounds = Bounds.of(max_body=max_body, timeout=_TIMEOUT)
        # The whole mutable state: the server, and what it held when it was new.
        self._server, self._fresh = self._start(), 0
        self._warm()

    def run(self, hostile: HostileBody) -> Seen:
        """One body's record. A stall that may be the machine's is measured again, and the shorter one counts."""
        body = hostile.make()
        seen = self._once(hostile, body)
        if self.bounds.stall < seen.stall < _NOISE and not self._server.died:
            again = self._once(hostile, body)
            seen = min(seen, again, key=lambda record: (len(record.faults(self.bounds)), record.stall))
        return seen

    def close(self) -> None:
        self._server.stop()

    def _once(self, hostile: HostileBody, body: bytes) -> Seen:
        server = self._server
        ping = Asking(server.port, "GET", "/livez", patience=_PATIENCE)
        good = Asking(server.port, "POST", "/models/iris/invocations", GOOD_ROWS["iris"], patience=_PATIENCE)
        with MemoryProbe(server.process.pid) as memory, ping, good:
            time.sleep(_SETTLED)
            status, answer, seconds = send(server.port, hostile, body, _PATIENCE)
            after = self._good(hostile.model) if not server.died else 0
        if max(ping.longest, good.longest, seconds if status == NO_ANSWER else 0.0) >= _PATIENCE - 1:
            status = "wedged"
        if self._ended(server):
            status = "died"
        seen = Seen(
            hostile.kind, hostile.name, hostile.model, len(body), status, ping.longest, good.longest, memory.growth,
            seconds, after, hostile.answered, answer.decode(errors="replace"),
        )  # fmt: skip
        self._renew(status)
        return seen

    def _good(self, model: str) -> int:
        try:
            return ask(self._server.port, "POST", f"/models/{model}/invocations", GOOD_ROWS[model], _TIMEOUT + 1)[0]
        except (OSError, http.client.HTTPException):
            return 0

    def _ended(self, server: GuardedServer) -> bool:
        """Whether the server has ended; one that refuses connections is given a moment to be seen to have."""
        try:
            ask(server.port, "GET", "/livez", b"", _TIMEOUT)
        except (OSError, http.client.HTTPException):
            end = time.monotonic() + 1.0
            while not server.died and time.monotonic() < end:
                time.sleep(0.02)
        return server.died

    def _renew(self, status: str) -> None:
        """A new server where the old one is gone or holds on to much, which would hide what the next body takes."""
        if status in ("died", "wedged") or held(self._server.process.pid) - self._fresh > _KEPT:
            self._server.stop()
            self._server = self._start()
            self._warm()

    def _warm(self) -> None:
        """What is imported and started on first use is not the first body's doing."""
        for model in GOOD_ROWS:
            self._good(model)
        self._fresh = held(self._server.process.pid)


def main() -> int:
    options = _options()
    chosen = [h for h in TABLE if (not options.kind or h.kind in options.kind) and options.only in (None, h.name)]
    if options.list:
        for hostile in chosen:
            print(f"{hostile.kind:14} {hostile.model:11} {hostile.name}")
        return 0
    if not chosen:
        raise SystemExit("No body is called so; --list names them.")
    proof = Proof(make_packages(options.out / "packages"), options.max_body)
    records = []
    try:
        if not options.json:
            print(HEADER, flush=True)
        for hostile in chosen:
            records.append(proof.run(hostile))
            if not options.json:
                print(line(records[-1], proof.bounds), flush=True)
    finally:
        proof.close()
    return _report(records, proof.bounds, as_json=options.json)


def _report(records: list[Seen], bounds: Bounds, *, as_json: bool) -> int:
    if as_json:
        print(json.dumps([{**asdict(record), "faults": record.faults(bounds)} for record in records], indent=1))
    else:
        print(summary(records, bounds))
    return int(any(record.faults(bounds) for record in records))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("build/prove-bodies"), help="where the packages go")
    parser.add_argument("--kind", choices=KINDS, action="append", help="bodies of this kind alone; may be repeated")
    parser.add_argument("--only", metavar="NAME", help="the body of this name alone")
    parser.add_argument(
        "--max-body", type=int, default=MAX_BODY_BYTES, help="the server's limit of a body, in bytes (%(default)s)"
    )
    parser.add_argument("--json", action="store_true", help="print the records as JSON")
    parser.add_argument("--list", action="store_true", help="print what there is, and send nothing")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
