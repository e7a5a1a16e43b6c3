"""uv, run as a program: found, given its options, and its failures put into one sentence.

Where distributions come from is uv's own configuration (UV_DEFAULT_INDEX, UV_INDEX, its uv.toml), or with `wheels` a
directory and nothing else.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from penstock.errors import DependencyMissing, EnvironmentUnbuildable, remedy
from penstock.payload import clipped

# A download that has stalled is given up by uv itself; this ends what hangs in any other way.
TIMEOUT = 1800.0
# Building makes way for answering.
_NICE = 10


def find_uv(environ: Mapping[str, str] = os.environ) -> Path:
    """The uv of the `environments` extra, else the one on PATH. Raises DependencyMissing."""
    try:
        from uv import find_uv_bin

        return Path(find_uv_bin())
    except (ImportError, FileNotFoundError):
        pass
    if found := shutil.which("uv", path=environ.get("PATH")):
        return Path(found)
    raise DependencyMissing(
        "Building environments for models needs uv, which is not installed.",
        hint="Install it with: pip install 'penstock[environments]'",
    )


@dataclass(frozen=True, slots=True)
class Uv:
    """`directory` is where uv runs and keeps its downloads, unless UV_CACHE_DIR says otherwise; `wheels` the only place
    that distributions come from, if one is given."""

    program: Path
    directory: Path
    wheels: Path | None = None
    timeout: float = TIMEOUT

    @property
    def cache(self) -> Path:
        """Where uv keeps what it has downloaded."""
        return Path(os.environ.get("UV_CACHE_DIR") or self.directory / "uv")

    @property
    def sources(self) -> list[str]:
        """The options of commands that need distributions."""
        return [] if self.wheels is None else ["--offline", "--no-index", "--find-links", str(self.wheels)]

    def run(self, arguments: Sequence[str], failed: str, *, keep_open: Sequence[int] = ()) -> str:
        """What uv wrote to standard output. Files in `keep_open` stay open in it. Raises EnvironmentUnbuildable, which
        begins with `failed`."""
        try:
            process = subprocess.Popen(
                [str(self.program), "--no-progress", "--color", "never", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                cwd=self.directory,
                env=self._environment(),
                pass_fds=keep_open,
                text=True,
                errors="replace",
            )
        except OSError as error:
            raise EnvironmentUnbuildable(f"{failed}: uv cannot be started: {error.strerror}.") from None
        with process:
            with suppress(OSError, AttributeError):
                os.setpriority(os.PRIO_PROCESS, process.pid, _NICE)
            try:
                output, errors = process.communicate(timeout=self.timeout)
            except BaseException as error:
                process.kill()
                if isinstance(error, subprocess.TimeoutExpired):
                    raise EnvironmentUnbuildable(f"{failed}: uv did not finish within {self.timeout:.0f} s.") from None
                raise
        if process.returncode:
            raise self._unbuildable(failed, errors, process.returncode)
        return output

    def _environment(self) -> dict[str, str]:
        """Without what belongs to the environment around this program, and without our secrets."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("PENSTOCK_", "MLFLOW_", "PYTHON"))}
        for name in ("VIRTUAL_ENV", "CONDA_PREFIX", "UV_PYTHON", "UV_PROJECT_ENVIRONMENT"):
            kept.pop(name, None)
        return {"UV_PYTHON_DOWNLOADS": "never", **kept, "UV_CACHE_DIR": str(self.cache)}

    def _unbuildable(self, failed: str, errors: str, code: int) -> EnvironmentUnbuildable:
        if code < 0:
            return EnvironmentUnbuildable(f"{failed}: uv was killed by signal {-code}.")
        reason = summary(errors)
        for pattern, hint, helps in _HINTS:
            if re.search(pattern, reason):
                return EnvironmentUnbuildable(f"{failed}: {reason}.", hint=hint, remedy=helps)
        if self.wheels is None:
            return EnvironmentUnbuildable(f"{failed}: {reason}.")
        what = _missing(reason)
        return EnvironmentUnbuildable(
            f"{failed}: {reason}.",
            hint=f"Put {what} into {self.wheels}, or clear the setting wheels.",
            remedy=remedy("add_wheel", what=what, directory=str(self.wheels)),
        )


def _missing(reason: str) -> str:
    """The wheel that uv did not find, as far as it says which."""
    found = re.search(r"no version of ([^\s,]+)|Because ([^\s,]+) was not found|only ([^\s,]+) is available", reason)
    name = next(filter(None, found.groups()), "") if found else ""
    return f"a wheel for {name}" if name else "the missing wheels"


# What uv says -> what to do, and the remedy, where the command line says it better.
_HINTS = (
    (r"\bnumpy>=2", "Penstock's code in the model process needs NumPy 2. Package the model again with NumPy 2.", None),
    (
        r"No space left|os error (28|27|122)\b|[Qq]uota",
        "Free some space, for example by removing unused environments.",
        remedy("make_room"),
    ),
    (r"ermission denied|Read-only file system", "Set PENSTOCK_CACHE to a writable directory.", None),
    (
        r"Hash mismatch",
        "The files differ from those that the package was locked with. Check the files before you use them.",
        None,
    ),
    (
        r"no (usable )?wheels|building from source is disabled|no-build|source distribution",
        "Only wheels are installed. trust_code also allows building distributions from source, which runs their code.",
        remedy("allow_builds"),
    ),
    (
        r"Failed to (fetch|download|extract)|error sending request|dns error|timed out|connection|Connect|Network",
        "Is the package index reachable? Set UV_DEFAULT_INDEX to use another index, or the setting wheels to use a "
        "directory.",
        remedy("reach_index"),
    ),
)


def summary(errors: str) -> str:
    """The heart of what uv wrote: for a resolution the reason, else the error and its last cause."""
    lines = [line for line in errors.splitlines() if not line.startswith(("warning:", "hint:"))]
    text = "\n".join(lines).strip()
    head, *causes = re.split(r"\n\s*(?:cause|Caused by):\s*", text.removeprefix("error:").strip())
    if not causes:
        return clipped(head, 500) or "uv gave no reason"
    if "No solution found" in head:
        return clipped(causes[0], 500)
    return clipped(f"{head}: {causes[-1]}", 500)
