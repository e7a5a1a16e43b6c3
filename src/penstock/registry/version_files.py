"""What a registry has to do with the files of its versions: they stay as they were registered, and what they say of the
version is recorded once they were read."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from typing import TypeVar

from penstock.errors import Unsupported
from penstock.registry.entries import ModelKey, ModelVersion, PackageFacts
from penstock.registry.refusals import refuse_registered

T = TypeVar("T")

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]+:")


class VersionFiles:
    """The part of `Registry` that a hub needs, which keeps the files. The errors are those of `Registry`."""

    artifact_root: str

    def containing(self, path: str, *, within: bool = False) -> ModelVersion | None:
        """A version whose `source`, as it was registered below `artifact_root`, is this path or a directory above it;
        with `within` also one that lies below the path."""
        raise self._unsupported("looking versions up by their files")

    def change_files(self, path: str, change: Callable[[], T], *, within: bool = False) -> T:
        """What `change` returns, which writes or removes the files at a path. Raises ArtifactRegistered where a version
        has them, and then does nothing. `await_changes` waits for it, in other processes on the database too."""
        refuse_registered(path, self.containing(path, within=within))
        return change()

    def await_changes(self) -> None:
        """Returns when no `change_files` is under way that began before, but for those of this process where the
        database is a file: nobody else has that one open. Whoever has registered a version, and then waits for this,
        knows that its files change no more."""

    def record_package(
        self, model: str | ModelKey, version: str, facts: PackageFacts | None, *, message: str = ""
    ) -> ModelVersion:
        """Ends a registration: in one step the version is READY and has what its files say, which were read after it
        was registered, with nothing where they say nothing, and `message` for the reason; the version as it is then.
        The model is named, or known by its key whatever its name is by now. Raises ModelNotFound, VersionNotFound."""
        raise self._unsupported("recording packages")

    def unfinished(self) -> list[tuple[ModelKey, ModelVersion]]:
        """Versions whose registration has not ended: their files are being read, or whoever did so was killed."""
        raise self._unsupported("versions that are not ready")

    def located(self, source: str) -> str:
        """A source as callers get it: a relative one is joined to `artifact_root`."""
        if os.path.isabs(source) or _URL.match(source):
            return source
        return f"{self.artifact_root.rstrip('/')}/{source}"

    def _unsupported(self, what: str) -> Unsupported:
        return Unsupported(f"A {type(self).__name__} does not support {what}.")
