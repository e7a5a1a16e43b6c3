"""The MLflow environment: a virtual environment of its own at .venv-mlflow, from requirements/mlflow.txt.

    python tests/contract/environment.py          makes it, or does nothing where it is up to date
    python tests/contract/environment.py --lock   pins the requirements anew (needs uv)

Penstock's own environment never sees MLflow. The Python is the one that runs this script; the recorded answers were
made with 3.11, and code pickled by value loads only on the Python minor version that pickled it.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
REQUIREMENTS = ROOT / "requirements" / "mlflow.txt"
ENVIRONMENT = ROOT / ".venv-mlflow"
PYTHON = ENVIRONMENT / "bin" / "python"
_STAMP = ENVIRONMENT / "installed"

# What the packages and the recorder import; the versions of the first few are those of requirements/dev.txt where they
# resolve together, so that artifacts made here load there.
WANTED = (
    "mlflow[auth]",  # its server with --app-name basic-auth
    "onnx",
    "onnxruntime",
    "skl2onnx",
    "pandas",
    "pyarrow",
    "pydantic",
    "scikit-learn",
    "skops",
    "hypothesis",
)


def make() -> None:
    """Creates the environment where it is missing or older than its requirements."""
    wanted = _fingerprint()
    if _STAMP.exists() and _STAMP.read_text() == wanted:
        return
    if ENVIRONMENT.is_symlink():  # venv --clear follows a link, and empties what others share before it fails
        sys.exit(f"{ENVIRONMENT} is a link to an environment with other requirements: remove the link, then try again.")
    subprocess.run([sys.executable, "-m", "venv", "--clear", ENVIRONMENT], check=True)
    (ENVIRONMENT / ".gitignore").write_text("*\n")
    pip: list[str | Path] = [PYTHON, "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    # Without following dependencies: the pins are all there is, and MLflow's own wheel holds all of its parts.
    subprocess.run([*pip, "--no-deps", "--require-hashes", "--requirement", REQUIREMENTS], check=True)
    _STAMP.write_text(wanted)


def lock() -> None:
    """Resolves the newest versions that go together, for every platform, with hashes and without an index's address."""
    uv = os.environ.get("UV", "uv")
    command = f"{uv} pip compile --quiet --universal --python-version 3.11 --generate-hashes --upgrade"
    bare = ["--no-emit-index-url", "--no-emit-find-links", "--no-header"]
    bare += [f"--no-emit-package={part}" for part in ("mlflow-skinny", "mlflow-tracing")]  # mlflow itself holds them
    subprocess.run([*command.split(), *bare, "-", "-o", REQUIREMENTS], input="\n".join(WANTED), text=True, check=True)


def _fingerprint() -> str:
    return f"{sys.version.split()[0]} {hashlib.sha256(REQUIREMENTS.read_bytes()).hexdigest()}\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--lock", action="store_true", help="pin the requirements anew")
    if parser.parse_args().lock:
        lock()
    make()


if __name__ == "__main__":
    main()
