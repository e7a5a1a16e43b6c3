"""Whether a backup can be restored: each of its pieces is read and compared with its digest, and nothing is written."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from penstock.artifacts.trees import ArtifactTree
from penstock.artifacts.walking import several_at_once
from penstock.errors import BackupBroken
from penstock.hub.backup.files import listed_files
from penstock.hub.backup.manifest import BackupManifest
from penstock.hub.backup.objects import BackupObjects

# Of what is broken, so many are named.
_NAMED = 5


def check_backup(place: ArtifactTree, manifest: BackupManifest, on_bytes: Callable[[int], None]) -> int:
    """Says how many pieces there are. Raises BackupBroken with how many of them are missing or have changed."""
    objects = BackupObjects(place)
    seen: set[str] = set()

    def named() -> Iterator[tuple[str, str]]:
        """What a piece is of, and its digest."""
        for table in manifest.tables:
            yield from ((f"rows of {table.name}", part) for part in table.parts)
        yield from (("the list of files", part) for part in (manifest.files.parts if manifest.files else ()))
        yield from ((file.path, file.sha256) for file in listed_files(objects, manifest.files))

    def new() -> Iterator[tuple[str, str]]:
        for what, digest in named():
            if digest not in seen:
                seen.add(digest)
                yield what, digest

    def check(each: tuple[str, str]) -> str:
        try:
            for piece in objects.pieces(each[1]):
                on_bytes(len(piece))
        except BackupBroken:
            return each[0]
        return ""

    with several_at_once(check, new()) as checked:
        broken = [what for what in checked if what]
    if broken:
        shown = ", ".join(map(ascii, broken[:_NAMED])) + (" and others" if len(broken) > _NAMED else "")
        raise BackupBroken(
            f"The backup {manifest.name} is damaged: {len(broken)} of its {len(seen)} pieces are missing or have "
            f"changed: {shown}.",
            hint="Take a backup that verifies all pieces while the hub still has this, or restore another one.",
        )
    return len(seen)
