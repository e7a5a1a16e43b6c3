"""All files below a directory of a tree, one directory at a time; and work with many files, several at once."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import NamedTuple, TypeVar

from penstock.artifacts.trees import ArtifactTree

T = TypeVar("T")
R = TypeVar("R")

# A store far away answers late, and so does a disk about each file.
_AT_ONCE = 8


class WalkedFile(NamedTuple):
    """A file by its path below the root of the tree, and its size in bytes."""

    path: str
    size: int


def files_below(tree: ArtifactTree, path: str = "") -> Iterator[WalkedFile]:
    """In the order of the parts of their paths, so that two walks can be compared as they go. What is written or
    removed meanwhile may be among them or not."""
    pending = [iter(tree.entries(path))]
    places = [path]
    while pending:
        entry = next(pending[-1], None)
        if entry is None:
            pending.pop()
            places.pop()
            continue
        below = f"{places[-1]}/{entry.name}".lstrip("/")
        if entry.size is None:
            pending.append(iter(tree.entries(below)))
            places.append(below)
        else:
            yield WalkedFile(below, entry.size)


@contextmanager
def several_at_once(work: Callable[[T], R], items: Iterable[T]) -> Iterator[Iterator[R]]:
    """What `work` makes of each, in order; a few are worked at ahead."""
    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="penstock-walk") as threads:
        ahead: deque[Future[R]] = deque()

        def made() -> Iterator[R]:
            for item in items:
                ahead.append(threads.submit(work, item))
                if len(ahead) >= 2 * _AT_ONCE:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()

        try:
            yield made()
        finally:
            for each in ahead:
                each.cancel()
