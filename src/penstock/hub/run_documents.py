"""Runs as JSON, kept while they do not change: what a search answers is mostly put together of texts that are there.

A text is kept under the run's id and the number of its last change, so one of another state is never found.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import orjson

from penstock.hub.json_forms import run_json
from penstock.tracking.interface import TrackingStore
from penstock.tracking.runs import RunRef

# Bytes of texts that are kept. A run of forty params and metrics has five thousand.
MAX_BYTES = 32 * 1024 * 1024


class RunDocuments:
    """Used by the threads that read; each operation on the dictionary is one step of the interpreter's, or undone
    harmlessly by another's."""

    def __init__(self, store: TrackingStore, max_bytes: int = MAX_BYTES) -> None:
        self._store = store
        self._max_bytes = max_bytes
        # Mutable state: the texts, those used last at the end, and their bytes.
        self._texts: OrderedDict[RunRef, bytes] = OrderedDict()
        self._bytes = 0

    def of(self, refs: Sequence[RunRef]) -> list[bytes]:
        """The texts of these runs, in this order."""
        found = {ref: text for ref in refs if (text := self._texts.get(ref)) is not None}
        missing = [ref for ref in refs if ref not in found]
        if missing:
            for run in self._store.runs([ref.run_id for ref in missing]):
                found[RunRef(run.run_id, 0)] = text = orjson.dumps(run_json(run))
                self._keep(run.ref, text)
        return [found[ref] if ref in found else found[RunRef(ref.run_id, 0)] for ref in refs]

    def _keep(self, ref: RunRef, text: bytes) -> None:
        if ref not in self._texts:
            self._texts[ref] = text
            self._bytes += len(text)
        while self._bytes > self._max_bytes:
            _, dropped = self._texts.popitem(last=False)
            self._bytes -= len(dropped)
