"""The work on a store that its owner starts: garbage is collected, backups are taken, beside hubs that run on it; and
backups are restored."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from penstock.artifacts.opening import open_tree
from penstock.artifacts.trees import ArtifactTree
from penstock.errors import BackupNotFound, ConfigError, RegistryReadOnly
from penstock.hub.backup.checking import check_backup
from penstock.hub.backup.manifest import BackupManifest, read_manifest
from penstock.hub.backup.restoring import Restoring
from penstock.hub.backup.taking import BackupTaking
from penstock.hub.gc.collector import StoreCollector
from penstock.tracking.opening import open_database

_WORK = ".work-"
_ABANDONED = 86_400.0


@contextmanager
def garbage_collector(store: str, artifacts: str) -> Iterator[StoreCollector]:
    """Nothing is made or migrated by it: whoever uses it is told what a store lacks."""
    with closing(open_database(store)) as database:
        yield StoreCollector(database, open_tree(artifacts), artifacts, time.time())


def take_backup(
    store: str,
    artifacts: str | None,
    place: str,
    on_rows: Callable[[int], None],
    on_bytes: Callable[[int], None],
    *,
    verify: bool = False,
) -> tuple[BackupManifest, int]:
    """The backup, and the bytes that were written for it. Without `artifacts` it has no files. A store of an earlier
    release is saved as it is. Raises what opening and reading the store raises, and ConfigError where one of the places
    is in the other."""
    if artifacts is not None:
        _refuse_nested(artifacts, place)
    with closing(open_database(store)) as database, _work_beside(place) as work:
        taking = BackupTaking(database, open_tree(place), artifacts or "", verify=verify)
        taking.tables(work, on_rows)
        if artifacts is not None:
            taking.files(open_tree(artifacts), on_bytes)
        return taking.finish(), taking.written


def backup_at(place: str, name: str = "") -> BackupManifest:
    """The newest backup at a place, or the one of that name. Raises BackupNotFound, BackupBroken."""
    if "://" not in place and not Path(place).is_dir():
        raise BackupNotFound(f"There is no backup at {place}: it is no directory.")
    return read_manifest(open_tree(place), place, name)


def check_backup_at(place: str, manifest: BackupManifest, on_bytes: Callable[[int], None]) -> int:
    """How many pieces it has. Raises BackupBroken."""
    return check_backup(open_tree(place), manifest, on_bytes)


def restore_backup(
    store: str,
    artifacts: str | None,
    place: str,
    manifest: BackupManifest,
    on_rows: Callable[[int], None],
    on_bytes: Callable[[int], None],
) -> None:
    """Without `artifacts` the tables alone. Raises StoreNotEmpty, BackupBroken, RegistryOutdated."""
    if artifacts is not None:
        _refuse_nested(artifacts, place)
    with closing(open_database(store)) as database:
        restoring = Restoring(database, open_tree(place), manifest)
        tree: ArtifactTree | None = None if artifacts is None else open_tree(artifacts)
        restoring.check(tree)
        if tree is not None and manifest.files is not None:
            restoring.files(tree, on_bytes)
        restoring.tables(on_rows)


@contextmanager
def _work_beside(place: str) -> Iterator[Path]:
    """A directory for a while: on the disk of the backups, where they are on one of this machine, since that has to
    have room. What is in a backup is for its owner's eyes. Where nothing comes to be in a directory that is made for
    it, that goes again."""
    if "://" in place:
        with tempfile.TemporaryDirectory(prefix="penstock-backup-") as directory:
            yield Path(directory)
        return
    target = Path(os.path.abspath(place))
    made = [each for each in (target, *target.parents) if not each.exists()]
    try:
        target.mkdir(parents=True, exist_ok=True, mode=0o700)
        _remove_abandoned(Path(place))
        work = tempfile.TemporaryDirectory(prefix=_WORK, dir=os.path.abspath(place))
    except OSError as error:
        raise RegistryReadOnly(f"{place} cannot be written: {error.strerror or error}.") from error
    try:
        with work as directory:
            yield Path(directory)
    finally:
        with suppress(OSError):  # what is not empty stays
            for each in made:
                each.rmdir()


def _remove_abandoned(place: Path) -> None:
    """What backups have left that were killed long ago: copies of the database, drafts of pieces."""
    long_ago = time.time() - _ABANDONED
    for work in place.glob(f"{_WORK}*"):
        if work.stat().st_mtime < long_ago:
            shutil.rmtree(work, ignore_errors=True)
    open_tree(str(place)).sweep(long_ago)


def _refuse_nested(artifacts: str, place: str) -> None:
    first, second = (each if "://" in each else os.path.realpath(each) for each in (artifacts, place))
    if f"{first.rstrip('/')}/".startswith(f"{second.rstrip('/')}/") or f"{second.rstrip('/')}/".startswith(
        f"{first.rstrip('/')}/"
    ):
        raise ConfigError(
            f"Backups at {place} and the hub's files at {artifacts} would be in each other.",
            hint="Give backups a place of their own, best on another disk.",
        )
