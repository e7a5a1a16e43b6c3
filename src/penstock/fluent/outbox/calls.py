"""Lines of the spool as the few large calls that deliver them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple, Union

from penstock.fluent.outbox.entries import LIMITS, MAX_TOGETHER, encode

_POINTS = re.compile(rb'\[(\d+),("(?:[^"\\]|\\.)*"),\[(.*)\]\]')


class SingleCall(NamedTuple):
    """A call of its own: `create`, `call` or `file`, with what these need by name."""

    run_id: str
    kind: str
    item: dict[str, Any]


class BatchCall:
    """Points, params and tags of one run that fit into one call."""

    def __init__(self, run_id: str) -> None:
        self.run_id = run_id
        self.count = 0
        self._points: list[bytes] = []
        self._pairs: dict[str, dict[str, str]] = {"params": {}, "tags": {}}

    def __repr__(self) -> str:
        return f"<BatchCall of run {self.run_id}: {self.count} points, params and tags>"

    def take_points(self, count: int, encoded: bytes) -> bool:
        """Whether they fit; they are as a server takes them, with commas between."""
        if self.count and self.count + count > MAX_TOGETHER:
            return False
        self._points.append(encoded)
        self.count += count
        return True

    def take_pair(self, kind: str, key: str, value: str) -> bool:
        """The same for a param or a tag, of which a call has one value: MLflow refuses two."""
        pairs = self._pairs[kind]
        if self.count >= MAX_TOGETHER or len(pairs) >= LIMITS[kind] or key in pairs:
            return False
        pairs[key] = value
        self.count += 1
        return True

    def body(self, run_id: str) -> bytes:
        """What is sent, under the id that the run has there."""
        parts = [f'"run_id":{encode(run_id)}'.encode()]
        if self._points:
            parts.append(b'"metrics":[' + b",".join(self._points) + b"]")
        for kind, pairs in self._pairs.items():
            if pairs:
                items = [{"key": key, "value": value} for key, value in pairs.items()]
                parts.append(f'"{kind}":{encode(items)}'.encode())
        return b"{" + b",".join(parts) + b"}"

    def content(self) -> dict[str, list[dict[str, Any]]]:
        """The same as values, by kind."""
        found = json.loads(self.body(""))
        return {kind: found[kind] for kind in LIMITS if kind in found}


SpooledCall = Union[BatchCall, SingleCall]


class ReadLines(NamedTuple):
    """`damaged` lines could not be read."""

    calls: list[SpooledCall]
    damaged: int


def calls_of(lines: Iterable[bytes], *, are_ours: bool) -> ReadLines:
    """`are_ours`: they were written by this process, and no loss of power can have damaged them since."""
    everything = list(lines)
    sound = everything if are_ours else [line for line in everything if _is_sound(line)]
    return ReadLines(list(_joined(sound)), len(everything) - len(sound))


def halves(content: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What a call had, in two calls; one that had a single thing, as it is."""
    flat = [(kind, item) for kind in LIMITS for item in content.get(kind, ())]
    if len(flat) < 2:
        return [dict(content)]
    found = []
    for part in (flat[: len(flat) // 2], flat[len(flat) // 2 :]):
        half: dict[str, Any] = {}
        for kind, item in part:
            half.setdefault(kind, []).append(item)
        found.append(half)
    return found


def _joined(lines: Iterable[bytes]) -> Iterator[SpooledCall]:
    open_batches: dict[str, BatchCall] = {}
    for line in lines:
        if (points := _POINTS.fullmatch(line)) is not None:
            run_id = json.loads(points[2])
            yield from _put(open_batches, run_id, BatchCall.take_points, int(points[1]), points[3])
            continue
        run_id, content = json.loads(line)
        if LIMITS.keys() & content.keys():
            for kind, pairs in content.items():
                for key, value in pairs:
                    yield from _put(open_batches, run_id, BatchCall.take_pair, kind, key, value)
            continue
        if (before := open_batches.pop(run_id, None)) is not None:
            yield before
        ((kind, item),) = content.items()
        yield SingleCall(run_id, kind, item)
    yield from open_batches.values()


def _put(
    open_batches: dict[str, BatchCall], run_id: str, take: Callable[..., bool], *cells: Any
) -> Iterator[BatchCall]:
    """Into the run's open batch, or into a new one; the one before is whole then."""
    batch = open_batches.get(run_id)
    if batch is None:
        batch = open_batches[run_id] = BatchCall(run_id)
    if not take(batch, *cells):
        yield batch
        batch = open_batches[run_id] = BatchCall(run_id)
        take(batch, *cells)


def _is_sound(line: bytes) -> bool:
    try:
        found = json.loads(line)
    except ValueError:
        return False
    if not isinstance(found, list):
        return False
    if len(found) == 3:
        return isinstance(found[1], str) and isinstance(found[2], list) and found[0] == len(found[2]) > 0
    return len(found) == 2 and isinstance(found[0], str) and isinstance(found[1], dict) and len(found[1]) > 0
