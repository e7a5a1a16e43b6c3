"""From what a package asks for to a lock: all distributions, with versions and hashes, resolved by uv."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from penstock.environments.locked import Lock, parse_lock
from penstock.environments.requirements import HOST_NEEDS, Wanted
from penstock.environments.uv import Uv
from penstock.errors import EnvironmentUnbuildable
from penstock.machine.interpreters import Interpreter

# Neither the index nor this machine's directories are written down.
_PLAIN = ("--generate-hashes", "--no-emit-index-url", "--no-emit-find-links", "--no-header", "--no-annotate")


def asked_digest(wanted: Wanted) -> str:
    """Names what was asked for; a lock remembers it, so that a lock of other requirements is noticed."""
    return hashlib.sha256(json.dumps([wanted.requirements, wanted.constraints]).encode()).hexdigest()


def complete_lock(wanted: Wanted) -> Lock | None:
    """The package's own lock, where it can be installed as it stands.

    Not so for a package that nobody trusts: its lock may name anything. There it only says which versions.
    """
    lock = wanted.lock
    if lock is None or wanted.wheels_only or not lock.hashed or lock.asked != asked_digest(wanted):
        return None
    return lock if lock.names.issuperset(HOST_NEEDS) else None


def resolve(wanted: Wanted, interpreter: Interpreter, uv: Uv, failed: str) -> Lock:
    """For this interpreter, here; what the package's own lock holds stays so. Raises EnvironmentUnbuildable."""
    lock = compile_lock(wanted, uv, ["--python", str(interpreter.path)], failed)
    return lock if wanted.lock is None else lock.with_hashes_of(wanted.lock)


def resolve_for_all(wanted: Wanted, python: str, uv: Uv, failed: str) -> Lock:
    """For every platform, and Python versions from `python` (3.11) on. Raises EnvironmentUnbuildable."""
    return compile_lock(wanted, uv, ["--universal", "--python-version", python], failed)


def compile_lock(wanted: Wanted, uv: Uv, target: Sequence[str], failed: str) -> Lock:
    locked = [pin.constraint for pin in wanted.lock.pins] if wanted.lock else []
    only = ["--only-binary", ":all:"] if wanted.wheels_only else []
    with _files(failed, wanted.requirements, (*wanted.constraints, *locked)) as (asked, limits):
        text = uv.run(["pip", "compile", *_PLAIN, *target, *only, *uv.sources, "--constraints", limits, asked], failed)
    lock = parse_lock(text)
    if not lock.hashed:
        raise EnvironmentUnbuildable(f"{failed}: the index has no hashes for some distributions.")
    return lock


@contextmanager
def _files(failed: str, *contents: Iterable[str]) -> Iterator[list[str]]:
    """A temporary file for each list of lines."""
    with TemporaryDirectory(prefix="penstock-", ignore_cleanup_errors=True) as place:
        paths = [Path(place, f"{number}.txt") for number in range(len(contents))]
        try:
            for path, lines in zip(paths, contents, strict=True):
                path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        except OSError as error:
            raise EnvironmentUnbuildable(f"{failed}: {error.strerror} at {place}.") from None
        yield [str(path) for path in paths]
