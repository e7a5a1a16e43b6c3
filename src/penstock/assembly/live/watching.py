"""When a file of settings or tokens has changed. Its content alone counts: editors and Kubernetes put other files in
its place, and clocks of file systems are coarse."""

from __future__ import annotations

from pathlib import Path

# Such a file is read every second; one that is larger than this is none.
MAX_BYTES = 4 * 1024 * 1024


class FileWatch:
    """Looks at a file again and again. A change counts once two looks in a row saw the same: an editor may write a file
    in several steps, or take it away for a moment."""

    def __init__(self, path: Path) -> None:
        self.path = path
        # The whole mutable state: the content that was used last, or tried, and the one that was seen last.
        self._used = self._seen = read(path)

    @property
    def used(self) -> bytes | None:
        """The content that was used last, or tried; at first what the file had at the start."""
        return self._used

    def look(self, content: bytes | None) -> bool:
        """Whether what the file has now (None: there is none) is new and settled; it counts as used then."""
        settled, self._seen = content == self._seen, content
        if not settled or content == self._used:
            return False
        self._used = content
        return True

    def use(self, content: bytes | None) -> None:
        """Somebody has asked for this content, settled or not."""
        self._used = self._seen = content

    def __repr__(self) -> str:
        return f"<FileWatch {self.path}>"


def read(path: Path) -> bytes | None:
    """What is there; None where nothing can be read, which whoever loads the settings has words for. Blocks."""
    try:
        with path.open("rb") as file:
            return file.read(MAX_BYTES)
    except OSError:
        return None
