"""What was measured with what: processor, versions, command."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from servers import LOAD_CORE, MLFLOW_PYTHON, ROOT, SERVER_CORE

_OURS = ("penstock", "uvicorn", "uvloop", "httptools", "numpy", "scikit-learn", "onnxruntime", "orjson", "pyarrow")
_THEIRS = ("mlflow", "uvicorn", "fastapi", "uvloop", "httptools", "numpy", "pandas", "scikit-learn")


def describe(command: str, rounds: str, with_mlflow: bool) -> dict[str, str]:
    """Words for the head of the report."""
    load = os.getloadavg()[0]
    facts = {
        "command": command,
        "processor": f"{_processor()}, {os.cpu_count()} cores; core {SERVER_CORE} serves, core {LOAD_CORE} sends",
        "load when it began": f"{load:.2f}{' (others were at work: compare ratios alone)' if load > 0.5 else ''}",
        "system": f"{platform.system()} {platform.release()}, Python {platform.python_version()}",
        "rounds": rounds,
        "Penstock's": f"commit {_commit()}; {', '.join(_versions(_OURS))}",
    }
    if with_mlflow:
        code = "import sys; from importlib.metadata import version, PackageNotFoundError\nfor n in sys.argv[1:]:\n"
        code += " try: print(n, version(n))\n except PackageNotFoundError: print('no', n)"
        asked = subprocess.run([MLFLOW_PYTHON, "-c", code, *_THEIRS], capture_output=True, text=True, check=True)
        facts["MLflow's"] = ", ".join(asked.stdout.split("\n")[:-1])
    return facts


def _versions(names: tuple[str, ...]) -> list[str]:
    found = []
    for name in names:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            found.append(f"no {name}")
    return found


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return " ".join(line.split(":", 1)[1].split())
    return platform.machine()


def _commit() -> str:
    asked = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return asked.stdout.strip() or "unknown"
