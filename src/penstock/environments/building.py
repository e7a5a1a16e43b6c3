"""The environment of a package: what it wants resolved, then built by uv, or found where it was built before."""

from __future__ import annotations

import hashlib
import json
import logging
import platform
import shutil
import subprocess
import sysconfig
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from penstock.environments.interpreters import choose, installed_interpreters
from penstock.environments.locked import LOCK, Lock, parse_lock
from penstock.environments.requirements import HOST_NEEDS, Wanted, read_wanted
from penstock.environments.resolving import complete_lock, resolve
from penstock.environments.store import Entry, EnvironmentStore, interpreter_of
from penstock.environments.uv import Uv, find_uv
from penstock.errors import DependencyMissing, EnvironmentUnbuildable, PackageInvalid, remedy
from penstock.machine.interpreters import Interpreter, base_interpreter
from penstock.package import PackagedModel
from penstock.payload import clipped
from penstock.storage.atomic import replace_file

log = logging.getLogger("penstock.environments")

# Counted up when environments are built in another way, so that old ones are not taken.
_FORMAT = 1
# So many stay at most; the longest unused ones go first.
KEPT = 20
_MODULES = {"pyyaml": "yaml"}
_CHECK_SECONDS = 120


@dataclass(frozen=True, slots=True)
class Environment:
    """What a model runs in: `python` starts it, `version` is that Python's."""

    digest: str
    python: Path
    version: str


class Environments:
    """The environments under a directory. Safe to use from several threads and processes.

    `wheels` is a directory that distributions come from, and then nothing else; None is the index that uv knows.
    """

    def __init__(
        self, root: Path, *, wheels: Path | None = None, kept: int = KEPT, program: Callable[[], Path] = find_uv
    ) -> None:
        self._store = EnvironmentStore(root.absolute())
        self._wheels = None if wheels is None else wheels.absolute()
        self._kept = kept
        self._program = program

    @property
    def root(self) -> Path:
        return self._store.root

    def ensure(
        self, package: PackagedModel, *, trust_code: bool = False, strict_env: bool = False, flavor: str | None = None
    ) -> Environment:
        """The environment of a package, built if it is not there. May take minutes; stays until `close`.

        `strict_env` refuses another minor version of Python than the package was made with.

        Raises EnvironmentUnbuildable, DependencyMissing where there is no uv, CodeNotTrusted, SealBroken,
        PackageInvalid, FlavorUnknown.
        """
        package.verify()  # before anything that it names is installed
        if not trust_code:
            with suppress(DependencyMissing):  # what judges the artifact may be in its own environment alone
                package.check_trust(flavor)
        name = package.path.name
        wanted = read_wanted(package, trust_code=trust_code, flavor=flavor)
        for reason in wanted.left_out:
            log.info("%s: not installed in its environment: %s.", name, reason)
        interpreter = self._interpreter(wanted, name, strict=strict_env)
        lock = complete_lock(wanted) or self._resolved(wanted, interpreter, name)
        digest = _digest(lock, interpreter)
        entry = self._store.get(digest, partial(self._build, lock, interpreter, wanted, name))
        return Environment(digest, interpreter_of(entry), interpreter.version)

    def has(
        self, package: PackagedModel, *, trust_code: bool = False, strict_env: bool = False, flavor: str | None = None
    ) -> bool:
        """Whether `ensure` would find the environment there. Nothing is resolved, built or written.

        Raises EnvironmentUnbuildable, PackageInvalid, FlavorUnknown; DependencyMissing where there is no uv to look for
        another Python.
        """
        if not self.root.is_dir():
            return False
        wanted = read_wanted(package, trust_code=trust_code, flavor=flavor)
        interpreter = self._interpreter(wanted, package.path.name, strict=strict_env)
        lock = complete_lock(wanted) or self._resolved_before(self._question(wanted, interpreter))
        return lock is not None and self._store.has(_digest(lock, interpreter))

    def entries(self) -> list[Entry]:
        """What is there, the last used one first."""
        return self._store.entries()

    def prune(self, *, unused_for: float = 0.0, now: Callable[[], float] = time.time) -> list[Entry]:
        """Removes what nobody uses nor has used for so many seconds. What is removed is given back."""
        since = now() - unused_for
        return self._store.prune(lambda entry: entry.used > since)

    def forget(self) -> None:
        """Removes what was resolved, and what uv has downloaded for the environments here."""
        for name in ("resolved", "uv"):
            shutil.rmtree(self.root / name, ignore_errors=True)

    def close(self) -> None:
        """What is in use here may be pruned by others from now on."""
        self._store.close()

    def uv(self) -> Uv:
        """Raises DependencyMissing, EnvironmentUnbuildable where its directory cannot be made, or no wheels are."""
        if self._wheels is not None and not self._wheels.is_dir():
            raise EnvironmentUnbuildable(
                f"The directory of wheels {self._wheels} does not exist.",
                hint="The setting wheels names this directory.",
                remedy=remedy("name_wheels"),
            )
        program = self._program()
        try:
            self.root.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise EnvironmentUnbuildable(
                f"Environments cannot be stored in {self.root}: {error.strerror}.",
                hint="Set PENSTOCK_CACHE to a writable directory.",
            ) from None
        return Uv(program, self.root, self._wheels)

    def _interpreter(self, wanted: Wanted, name: str, *, strict: bool) -> Interpreter:
        here = base_interpreter()
        found = choose(wanted.python, here, lambda: installed_interpreters(self.uv()))
        if found is not None:
            return found
        problem = f"{name} was made with Python {wanted.python}, which is not installed"
        if strict:
            raise EnvironmentUnbuildable(
                f"{problem}.", hint="Install that Python version.", remedy=remedy("allow_other_versions")
            )
        log.warning("%s. The model runs on Python %s instead.", problem, here.version)
        return here

    def _resolved(self, wanted: Wanted, interpreter: Interpreter, name: str) -> Lock:
        """Resolved once: the same answer to the same question from then on, also where the index is away."""
        question = self._question(wanted, interpreter)
        if known := self._resolved_before(question):
            return known
        path = self._answer_to(question)
        lock = resolve(wanted, interpreter, self.uv(), f"The requirements of {name} cannot be resolved")
        with suppress(OSError):  # kept for the next time only
            replace_file(path, lock.text.encode())
        return lock

    def _resolved_before(self, question: str) -> Lock | None:
        with suppress(OSError, UnicodeDecodeError, PackageInvalid):
            return parse_lock(self._answer_to(question).read_text(encoding="utf-8"))
        return None

    def _answer_to(self, question: str) -> Path:
        return self.root / "resolved" / f"{question}.lock"

    def _question(self, wanted: Wanted, interpreter: Interpreter) -> str:
        pinned = wanted.lock.text if wanted.lock else ""
        wheels = sorted(path.name for path in self._wheels.glob("*.whl")) if self._wheels else None
        asked = [wanted.requirements, wanted.constraints, pinned, wanted.wheels_only, interpreter.version, wheels]
        return _named([*asked, _here()])

    def _build(
        self, lock: Lock, interpreter: Interpreter, wanted: Wanted, name: str, directory: Path, held: int
    ) -> Mapping[str, Any]:
        failed = f"The environment of {name} cannot be built"
        uv = self.uv()
        began = time.perf_counter()
        log.info(
            "%s: building its environment: Python %s and %d distributions.", name, interpreter.version, len(lock.pins)
        )
        # Relocatable, since it is moved to its place when it is complete.
        uv.run(
            [
                "venv",
                "--relocatable",
                "--no-project",
                "--allow-existing",
                "--python",
                str(interpreter.path),
                str(directory),
            ],
            failed,
            keep_open=[held],
        )
        written = directory / LOCK
        written.write_text(lock.text, encoding="utf-8")
        python = interpreter_of(directory)
        only = ["--only-binary", ":all:"] if wanted.wheels_only else []
        uv.run(
            [
                "pip",
                "install",
                "--python",
                str(python),
                "--require-hashes",
                "--no-deps",
                "--compile-bytecode",
                *only,
                *uv.sources,
                "--requirements",
                str(written),
            ],
            failed,
            keep_open=[held],
        )
        _check(python, failed)
        log.info("%s: its environment is built, in %.1f s.", name, time.perf_counter() - began)
        self._make_room()
        pins = {pin.name: pin.version for pin in lock.pins}
        return {"python": interpreter.version, "for": name, "distributions": pins}

    def _make_room(self) -> None:
        """Before one is added."""
        too_many = {entry.digest for entry in self._store.entries()[max(0, self._kept - 1) :]}
        for entry in self._store.prune(lambda entry: entry.digest not in too_many) if too_many else ():
            log.info("Removed the environment of %s, the least recently used.", entry.facts.get("for"))

    def __repr__(self) -> str:
        return f"<Environments {self.root}>"


def _digest(lock: Lock, interpreter: Interpreter) -> str:
    return _named([_FORMAT, lock.text, interpreter.version, str(interpreter.path), _here()])


def _here() -> list[str]:
    """What wheels depend on besides Python's version."""
    return [sysconfig.get_platform(), *platform.libc_ver()]


def _named(content: object) -> str:
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:32]


def _check(python: Path, failed: str) -> None:
    """The new Python starts, and what the model process imports first is there."""
    modules = [_MODULES.get(name, name) for name in HOST_NEEDS]
    try:
        done = subprocess.run(
            [python, "-I", "-c", f"import {', '.join(modules)}"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_CHECK_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise EnvironmentUnbuildable(f"{failed}: its Python does not start: {clipped(str(error))}.") from None
    if done.returncode:
        last = done.stderr.strip().splitlines()[-1:] or [f"it ends with {done.returncode}"]
        raise EnvironmentUnbuildable(f"{failed}: it does not work: {clipped(last[0])}.")
