"""Runs as JSON, kept while they do not change: what a search answers is mostly put together of texts that are there.

A text is kept under the run's id and the number of its last change, so one of another state is never found.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence

import orjson

from penstock.hub.json_forms import run_json
from penstock.tracking.interface import TrackingStore
from penstock.tracking.runs import RunRef

# Bytes of texts that are kept. A run of forty params and metrics has five thousand.
MAX_BYTES = 32 * 1024 * 1024


class RunDocuments:
    """Used by all threads that read."""

    def __init__(self, store: TrackingStore, max_bytes: int = MAX_BYTES) -> None:
        self._store = store
        self._max_bytes = max_bytes
        # Mutable state, under the lock: the texts, those used last at the end, and their bytes.
        self._lock = threading.Lock()
        self._texts: OrderedDict[RunRef, bytes] = OrderedDict()
        self._bytes = 0

    def of(self, refs: Sequence[RunRef]) -> list[bytes]:
        """The texts of these runs, in this order."""
        found = self._kept(refs)
        missing = [ref.run_id for ref in refs if ref not in found]
        if missing:
            runs = self._store.runs(missing)
            made = {run.ref: _fitting(orjson.dumps(run_json(run))) for run in runs}
            self._keep(made)
            # A run that changed since it was found is shown as it is now.
            found |= {RunRef(ref.run_id, 0): text for ref, text in made.items()}
        return [found[ref] if ref in found else found[RunRef(ref.run_id, 0)] for ref in refs]

    def clear(self) -> None:
        """Forgets all texts: the numbers of changes began anew."""
        with self._lock:
            self._texts.clear()
            self._bytes = 0

    def _kept(self, refs: Sequence[RunRef]) -> dict[RunRef, bytes]:
        found = {}
        with self._lock:
            for ref in refs:
                if (text := self._texts.get(ref)) is not None:
                    self._texts.move_to_end(ref)
                    found[ref] = text
        return found

    def _keep(self, made: Mapping[RunRef, bytes]) -> None:
        with self._lock:
            for ref, text in made.items():
                if ref not in self._texts:
                    self._texts[ref] = text
                    self._bytes += len(text)
            while self._bytes > self._max_bytes:
                _, dropped = self._texts.popitem(last=False)
                self._bytes -= len(dropped)


def _fitting(text: bytes) -> bytes:
    """The same in memory of its own size: orjson leaves a text in the buffer that it grew, several times as large."""
    return bytes(memoryview(text))
