"""The same closed loop by wrk, where it is installed: a cross-check that our generator is not what is measured."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

from servers import LOAD_CORE


def is_there() -> bool:
    return shutil.which("wrk") is not None


def rate(url: str, body: Path, seconds: float, connections: int = 64) -> float:
    """Answers a second."""
    script = body.with_suffix(".lua")
    script.write_text(
        f'wrk.method = "POST"; wrk.body = io.open("{body.resolve()}"):read("*a");'
        ' wrk.headers["Content-Type"] = "application/json"'
    )
    command = ["taskset", "-c", LOAD_CORE, "wrk", "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s"]
    done = subprocess.run(
        [*command, "-s", str(script), f"{url}/invocations"], capture_output=True, text=True, check=True
    )
    return rate_in(done.stdout)


def rate_in(output: str) -> float:
    """The figure in wrk's words. Raises ValueError where there is none."""
    found = re.search(r"Requests/sec:\s+([\d.]+)", output)
    if found is None:
        raise ValueError(f"wrk says no rate: {output[:200]!r}")
    return float(found[1])
