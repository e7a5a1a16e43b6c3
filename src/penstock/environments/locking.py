"""A package with its requirements locked: a copy that also holds `requirements.lock`, sealed anew."""

from __future__ import annotations

import platform
import shutil
from dataclasses import replace
from pathlib import Path

from penstock.environments.building import Environments
from penstock.environments.interpreters import check_new_enough
from penstock.environments.locked import LOCK, Lock
from penstock.environments.requirements import read_lock, read_wanted
from penstock.environments.resolving import asked_digest, resolve_for_all
from penstock.machine.interpreters import minor_of
from penstock.package import PackagedModel
from penstock.package.directory import new_directory
from penstock.package.seal import list_files, write_seal


def lock_package(
    package: PackagedModel,
    target: str | Path,
    environments: Environments,
    *,
    trust_code: bool = False,
    overwrite: bool = False,
) -> tuple[PackagedModel, Lock]:
    """A copy at `target` whose requirements are pinned with hashes, for every platform, and the lock that it holds.

    Resolving runs no code, unless `trust_code` allows distributions without wheels, which have to be asked what they
    need. A lock that the package has already is made anew. `overwrite` is as for `save_model`.

    Raises EnvironmentUnbuildable, PackageExists, PackagingFailed, PackageInvalid, SealBroken, DependencyMissing.
    """
    package.verify()
    wanted = replace(read_wanted(package, trust_code=True), wheels_only=not trust_code, lock=None)
    python = minor_of(wanted.python) or minor_of(platform.python_version())
    check_new_enough(python)
    dotted = ".".join(map(str, python))
    failed = f"The requirements of {package.path.name} cannot be locked"
    found = resolve_for_all(wanted, dotted, environments.uv(), failed)
    lock = Lock(found.pins, dotted, asked_digest(wanted))
    target = Path(target).absolute()
    with new_directory(target, overwrite=overwrite) as directory:
        for name in list_files(package.path):
            (directory / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(package.path / name, directory / name)
        (directory / LOCK).write_text(lock.file, encoding="utf-8")
        write_seal(directory)
    return PackagedModel.open(target), lock


def describe_lock(package: PackagedModel) -> str:
    """Whether the requirements are locked, in words; empty where they are not. Raises PackageInvalid."""
    lock = read_lock(package.path)
    if lock is None:
        return ""
    words = f"{len(lock.names)} distributions{' with hashes' if lock.hashed else ''}"
    words += f", for Python {lock.python} and later" if lock.python else ""
    if lock.asked != asked_digest(read_wanted(package, trust_code=True)):
        words += "; made from other requirements than the package lists now"
    return words
