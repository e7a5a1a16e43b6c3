"""How programs that log may end, for prove_fluent.py: each says the id of its run, and what must be there afterwards."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from textwrap import dedent

_BEGIN = """\
import os, signal, sys, threading, time
from penstock import tracking
run = tracking.start_run()
print(run.info.run_id, flush=True)
def log(key, first, end):
    for step in range(first, end):
        tracking.log_metric(key, step, step=step, run_id=run.info.run_id)
"""


@dataclass(frozen=True, slots=True)
class Ending:
    """`points` counts those of each key, whose values are their steps. `interrupted`: the program is sent SIGINT after
    its second line. `says` is on standard error once."""

    name: str
    body: str
    points: Mapping[str, int] = field(default_factory=lambda: {"loss": 5000})
    status: str = "FINISHED"
    interrupted: bool = False
    says: str = ""

    @property
    def program(self) -> str:
        return _BEGIN + dedent(self.body)


ENDINGS = (
    Ending("no end_run", "log('loss', 0, 5000)"),
    Ending("sys.exit", "log('loss', 0, 5000)\nsys.exit(3)"),
    Ending("an exception", "log('loss', 0, 5000)\n1 / 0", status="FAILED", says="ZeroDivisionError"),
    Ending("an exception in the block", "with run:\n    log('loss', 0, 5000)\n    1 / 0", status="FAILED"),
    Ending(
        "KeyboardInterrupt",
        "log('loss', 0, 5000)\nprint('logged', flush=True)\ntime.sleep(60)",
        status="FAILED",
        interrupted=True,
        says="KeyboardInterrupt",
    ),
    Ending("os._exit after 0.3 s", "log('loss', 0, 5000)\ntime.sleep(0.3)\nos._exit(1)", status="RUNNING"),
    Ending("SIGTERM after 0.3 s", "log('loss', 0, 5000)\ntime.sleep(0.3)\nos.kill(os.getpid(), 15)", status="RUNNING"),
    Ending(
        "eight threads",
        """
        threads = [threading.Thread(target=log, args=(f"t{number}", 0, 1000)) for number in range(8)]
        for each in threads: each.start()
        for each in threads: each.join()
        """,
        points={f"t{number}": 1000 for number in range(8)},
    ),
    Ending(
        "a thread that logs on while the program ends",
        "threading.Thread(target=log, args=('loss', 0, 20000)).start()",
        points={"loss": 20000},
    ),
    Ending(
        "forked workers while the parent logs",
        """
        from multiprocessing import get_context
        fork = get_context("fork")
        log("loss", 0, 100)
        workers = [fork.Process(target=log, args=(f"w{number}", 0, 1000)) for number in range(4)]
        for each in workers: each.start()
        log("loss", 100, 5000)
        for each in workers: each.join()
        """,
        points={"loss": 5000, **{f"w{number}": 1000 for number in range(4)}},
    ),
    Ending(
        "spawned processes that log to one run",
        """
        import subprocess
        code = "import sys; from penstock import tracking\\n"
        code += "with tracking.start_run(run_id=sys.argv[1]):\\n"
        code += "  for step in range(1000): tracking.log_metric(sys.argv[2], step, step=step)"
        others = [subprocess.Popen([sys.executable, "-c", code, run.info.run_id, f"p{n}"]) for n in range(3)]
        log("loss", 0, 5000)
        for each in others: each.wait()
        """,
        points={"loss": 5000, "p0": 1000, "p1": 1000, "p2": 1000},
    ),
    Ending(
        "a disk that is full",
        """
        import resource
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
        for first in range(0, 5000, 100):
            log("loss", first, first + 100)
            time.sleep(0.01)
        tracking.log_text(30_000 * "x", "large.txt")
        tracking.end_run()
        """,
        says="The spool cannot be written",
    ),
)
