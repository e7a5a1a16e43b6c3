"""Images built by buildah and run by podman, on a base made of Debian's packages: no registry of images is asked."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from services.tools import require_tool

ROOT = Path(__file__).resolve().parents[2]

# The name that the Dockerfile builds on; the image behind it is ours, of the same Debian and Python.
BASE = "docker.io/library/python:3.11-slim-bookworm"

# Program -> Debian package.
_TOOLS = {
    "buildah": "buildah", "podman": "podman", "runc": "runc", "mmdebstrap": "mmdebstrap", "newuidmap": "uidmap",
    "fuse-overlayfs": "fuse-overlayfs", "/usr/sbin/iptables": "iptables", "/usr/lib/podman/netavark": "netavark",
    "/usr/lib/podman/aardvark-dns": "aardvark-dns",
}  # fmt: skip
_PACKAGES = "python3,python3-venv,python3-pip,ca-certificates"
_HOOKS = (
    'ln -s /usr/bin/python3 "$1/usr/local/bin/python"',
    'ln -s /usr/bin/python3 "$1/usr/local/bin/python3"',
    'rm -f "$1"/usr/lib/python3*/EXTERNALLY-MANAGED',
)

# How this machine reaches its package index, which is no matter of the Dockerfile's.
_VARIABLES = ("SSL_CERT_FILE", "PIP_CERT")
_CERTIFICATES = ("/etc/ssl/certs", "/usr/share/ca-certificates", "/etc/pip.conf")


def require_tools() -> None:
    """buildah, podman and what they need, installed where we may."""
    for program, package in _TOOLS.items():
        require_tool(program, debian=package)


def _run(*command: str, seconds: float = 1200, **more: Any) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds, **more)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
    return done


def make_base(directory: Path) -> None:
    """The base image, once on a machine."""
    if subprocess.run(["podman", "image", "exists", BASE], capture_output=True).returncode == 0:
        return
    tar = directory / "base.tar"
    hooks = [f"--customize-hook={hook}" for hook in _HOOKS]
    _run("mmdebstrap", "--variant=minbase", f"--include={_PACKAGES}", *hooks, "bookworm", str(tar))
    _run("podman", "import", str(tar), BASE)
    tar.unlink()


def build(context: Path, tag: str, *, target: str = "") -> str:
    """Builds a context; the layers of an earlier build are used again. Returns the image's name."""
    mounts = [f"--volume={path}:{path}:ro" for path in _CERTIFICATES if os.path.exists(path)]
    passed = [f"--env={name}={os.environ[name]}" for name in _VARIABLES if os.environ.get(name)]
    _run(
        "buildah", "--storage-driver", "overlay", "build", "--isolation", "chroot", "--pull-never", "--layers",
        "--format", "docker", *mounts, *passed, *([f"--target={target}"] if target else []), "-t", tag, str(context),
    )  # fmt: skip
    return tag


def inspect(image: str) -> dict[str, Any]:
    return dict(json.loads(_run("podman", "image", "inspect", image).stdout)[0])


@dataclass
class Container:
    """A container that runs, and the address of its port."""

    name: str
    url: str

    def exec(self, *command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(["podman", "exec", self.name, *command], capture_output=True, text=True, timeout=60)

    def logs(self) -> str:
        done = subprocess.run(["podman", "logs", self.name], capture_output=True, text=True, timeout=60)
        return done.stdout + done.stderr

    def wait_ready(self, path: str = "/readyz", seconds: float = 120.0) -> Container:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            try:
                if httpx.get(f"{self.url}{path}", timeout=2).status_code == 200:
                    return self
            except httpx.HTTPError:
                pass
            time.sleep(0.1)
        raise AssertionError(f"{self.name} is not ready:\n{self.logs()}")

    def stop(self) -> int:
        """SIGTERM; the exit code."""
        _run("podman", "stop", "--time", "30", self.name, seconds=60)
        return int(_run("podman", "inspect", self.name, "--format", "{{.State.ExitCode}}").stdout)


@contextmanager
def running(
    image: str,
    *arguments: str,
    port: int = 8080,
    volumes: dict[Path, str] | None = None,
    kept: dict[str, str] | None = None,
    **variables: str,
) -> Iterator[Container]:
    """Runs an image as a careful cluster does: read-only root, no capabilities, no way to more of them. `volumes` are
    directories, for reading; `kept` are volumes by name, for writing too."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        outside = free.getsockname()[1]
    name = f"penstock-{secrets.token_hex(4)}"
    mounts = [f"--volume={path}:{place}:ro" for path, place in (volumes or {}).items()]
    mounts += [f"--volume={volume}:{place}" for volume, place in (kept or {}).items()]
    settings = [f"--env={key}={value}" for key, value in variables.items()]
    try:
        _run(
            "podman", "--runtime", "runc", "run", "-d", "--name", name, "--health-cmd", "none",
            "--ulimit", "nofile=20000:20000", "--ulimit", "nproc=4096:4096", "--read-only", "--tmpfs", "/tmp",
            "--cap-drop", "all", "--security-opt", "no-new-privileges", "-m", "700m",
            "-p", f"127.0.0.1:{outside}:{port}", *mounts, *settings, image, *arguments,
        )  # fmt: skip
        yield Container(name, f"http://127.0.0.1:{outside}")
    finally:
        subprocess.run(["podman", "rm", "-f", "-t", "2", name], capture_output=True, timeout=60)


@contextmanager
def new_volume() -> Iterator[str]:
    """The name of a volume, which belongs to whom the image says."""
    name = f"penstock-{secrets.token_hex(4)}"
    try:
        yield name
    finally:
        subprocess.run(["podman", "volume", "rm", "-f", name], capture_output=True, timeout=60)


def output_of(image: str, *command: str) -> str:
    """What a command prints that ends by itself."""
    return _run("podman", "--runtime", "runc", "run", "--rm", "--health-cmd", "none", "--ulimit", "nofile=20000:20000",
                "--ulimit", "nproc=4096:4096", image, *command, seconds=120).stdout  # fmt: skip


def readable(package: Path, directory: Path) -> Path:
    """A copy of a package that the container's user can read, wherever pytest keeps its own."""
    digest = hashlib.sha256(str(package).encode()).hexdigest()[:8]
    place = directory / f"{package.name}-{digest}"
    if place.exists():
        return place
    shutil.copytree(package, place)
    for path in (place, *place.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    return place
