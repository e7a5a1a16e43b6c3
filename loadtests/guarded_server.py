"""A `penstock serve` that hostile requests may end: its address space has a limit, so that this machine survives."""

from __future__ import annotations

import os
import queue
import re
import resource
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path

from memory_probe import family

ADDRESS_SPACE = 6 * 1024**3
_READY_WITHIN = 90.0


class GuardedServer:
    """A server of these packages in one process; `stop` ends it and what it started, if need be by force."""

    def __init__(self, packages: list[Path], *, max_body: int, timeout: float) -> None:
        command = [sys.executable, "-m", "penstock", "serve", *map(str, packages), "--port", "0", "--trust-code"]
        options = [
            "--max-body-bytes",
            str(max_body),
            "--timeout",
            f"{timeout:g}",
            "--log-level",
            "warning",
            "--drain-timeout",
            "2",
        ]
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("PENSTOCK_", "MLFLOW_"))}
        self._words = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the server
        self.process = subprocess.Popen(
            [*command, *options], stdout=subprocess.PIPE, stderr=self._words, text=True, env=kept, preexec_fn=_limit,
            start_new_session=True,
        )  # fmt: skip
        self.port = self._port()

    @property
    def died(self) -> bool:
        return self.process.poll() is not None

    def last_words(self) -> str:
        self._words.seek(0)
        return self._words.read().decode(errors="replace")[-2000:]

    def stop(self) -> None:
        """Ends it, by force where it does not end in a few seconds; then whatever it started and left behind."""
        started = family(self.process.pid)[1:]
        if not self.died:
            self.process.terminate()
        try:
            self.process.wait(8)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        for pid in started:
            with suppress(ProcessLookupError, PermissionError):
                if os.getpgid(pid) == self.process.pid or os.getsid(pid) == self.process.pid:
                    os.kill(pid, 9)
        assert self.process.stdout is not None
        self.process.stdout.close()
        self._words.close()

    def _port(self) -> int:
        lines: queue.Queue[str] = queue.Queue()
        reader = threading.Thread(target=_read, args=(self.process, lines), daemon=True)
        reader.start()
        end = time.monotonic() + _READY_WITHIN
        while time.monotonic() < end and not self.died:
            with suppress(queue.Empty):
                if found := re.search(r"serving on http://[^:]+:(\d+)", lines.get(timeout=0.2)):
                    return int(found[1])
        words = self.last_words()
        self.stop()
        raise SystemExit(f"The server did not start:\n{words}")


def _limit() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _read(process: subprocess.Popen[str], lines: queue.Queue[str]) -> None:
    assert process.stdout is not None
    with suppress(ValueError):  # closed while it was read
        for line in process.stdout:
            lines.put(line)
