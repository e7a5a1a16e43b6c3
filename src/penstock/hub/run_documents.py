"""Runs as JSON, kept while they do not change: what a search answers is mostly put together of texts that are there.

A text is kept with the number of the run's last change, so one of another state is never taken for it; the text of the
next state takes its place, so that a run that is logged to holds no more than one that has ended.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import orjson

from penstock.hub.json_forms import run_json
from penstock.tracking.interface import TrackingStore
from penstock.tracking.runs import Run, RunRef

# Bytes of texts that are kept. A run of forty params and metrics has five thousand.
MAX_BYTES = 32 * 1024 * 1024

# What a text takes besides its own bytes: its entry, the run's id and the number.
ENTRY_BYTES = 400


class _Kept(NamedTuple):
    changed: int
    text: bytes

    @property
    def size(self) -> int:
        return len(self.text) + ENTRY_BYTES


class RunDocuments:
    """Used by all threads that read."""

    def __init__(self, store: TrackingStore, max_bytes: int = MAX_BYTES) -> None:
        self._store = store
        self._max_bytes = max_bytes
        # Mutable state, under the lock: the texts, those used last at the end, and their bytes.
        self._lock = threading.Lock()
        self._texts: OrderedDict[str, _Kept] = OrderedDict()
        self._bytes = 0

    def of(self, refs: Sequence[RunRef]) -> list[bytes]:
        """The texts of these runs, in this order. A run that changed since it was found is shown as it is now."""
        found = self._found(refs)
        missing = [ref.run_id for ref in refs if ref.run_id not in found]
        if missing:
            runs = self._store.runs(missing)
            made = {run.ref.run_id: _made(run) for run in runs}
            self._keep(made.items())
            found |= {run_id: each.text for run_id, each in made.items()}
        return [found[ref.run_id] for ref in refs]

    def clear(self) -> None:
        """Forgets all texts: the numbers of changes began anew."""
        with self._lock:
            self._texts.clear()
            self._bytes = 0

    def _found(self, refs: Sequence[RunRef]) -> dict[str, bytes]:
        found = {}
        with self._lock:
            for run_id, changed in refs:
                if (kept := self._texts.get(run_id)) is not None and kept.changed == changed:
                    self._texts.move_to_end(run_id)
                    found[run_id] = kept.text
        return found

    def _keep(self, made: Iterable[tuple[str, _Kept]]) -> None:
        with self._lock:
            for run_id, new in made:
                if (before := self._texts.pop(run_id, None)) is not None:
                    self._bytes -= before.size
                self._texts[run_id] = new
                self._bytes += new.size
            while self._bytes > self._max_bytes:
                _, dropped = self._texts.popitem(last=False)
                self._bytes -= dropped.size


def _made(run: Run) -> _Kept:
    return _Kept(run.ref.changed, _fitting(orjson.dumps(run_json(run))))


def _fitting(text: bytes) -> bytes:
    """The same in memory of its own size: orjson leaves a text in the buffer that it grew, several times as large."""
    return bytes(memoryview(text))
