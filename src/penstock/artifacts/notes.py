"""Small files beside the packages in the cache: what was last learnt from elsewhere, for a start without that."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import orjson

from penstock.storage.atomic import replace_file

log = logging.getLogger("penstock.artifacts")

_FOLDER = "resolutions"
T = TypeVar("T")


class CacheNote:
    """One of them. Reading and writing it never fails: at worst there is nothing to recall.

    `names` says what it is about, in people's words, without credentials, which may change.
    """

    def __init__(self, cache: Path, **names: str) -> None:
        self.names = names
        key = hashlib.sha256(orjson.dumps(list(names.values()))).hexdigest()[:32]
        self.path = cache / _FOLDER / f"{key}.json"
        self._complained = False  # the whole mutable state: whether it was said that it cannot be written

    def read(self, parse: Callable[[dict[str, Any]], T]) -> T | None:
        """What was kept, as `parse` understands it. None where nothing was, or it cannot be read."""
        try:
            return parse(orjson.loads(self.path.read_bytes()))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError) as error:
            log.warning("The saved answer about %s, %s, cannot be read: %s", self, self.path, error)
            return None

    def write(self, **content: object) -> bool:
        """In one step: a kill leaves the one before. Says whether it did; the log, once, why not."""
        try:
            replace_file(self.path, orjson.dumps({**self.names, **content}))
        except OSError as error:
            if not self._complained:
                self._complained = True
                log.warning(
                    "The answer about %s cannot be saved in %s for a start without the registry: %s.",
                    self,
                    os.path.dirname(self.path),
                    error.strerror or error,
                )
            return False
        self._complained = False
        return True

    def __str__(self) -> str:
        return " of ".join(reversed(self.names.values()))

    def __repr__(self) -> str:
        return f"<CacheNote on {self}>"
