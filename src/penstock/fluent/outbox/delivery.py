"""Delivering a segment: its lines in order, as calls, each until it is taken or refused.

Whatever is sent twice, since an answer was lost or a process died, changes nothing the second time: a point is known by
its step, time and value, a param and a tag by their value, and a run by an id, or a tag, that it got from us.
"""

from __future__ import annotations

import logging
import posixpath
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from penstock.errors import TrackingRefused
from penstock.fluent.outbox.calls import BatchCall, SingleCall, SpooledCall, calls_of, halves
from penstock.fluent.outbox.entries import LIMITS, encode
from penstock.fluent.outbox.source import DeliverySource
from penstock.fluent.transport.interface import TrackingTransport
from penstock.fluent.transport.shape import shape_of_answers

log = logging.getLogger("penstock.tracking")

# By which a run is found again that was made under an id of the server's own choice.
CLIENT_RUN_TAG = "penstock.clientRunId"
_PARENT_TAG = "mlflow.parentRunId"
_LOG_BATCH = "runs/log-batch"
_MAX_REFUSALS = 100


class Delivery:
    """One at a time for a segment, or for what stands in for one."""

    def __init__(self, transport: TrackingTransport, source: DeliverySource) -> None:
        self._transport = transport
        self.source = source
        # The whole mutable state: calls that were read and are to be delivered, the place after them, where the files
        # of runs are kept, and what was delivered and refused since the start.
        self._pending: deque[SpooledCall] = deque()
        self._end = 0
        self._directories: dict[str, str] = {}
        self.delivered = 0
        self.refused = 0
        self.refusals: list[str] = []
        self.damaged = 0

    def __repr__(self) -> str:
        return f"<Delivery: {self.delivered} delivered, {self.refused} refused, {len(self._pending)} read>"

    def step(self) -> bool:
        """Delivers what was read, or reads on; whether there was anything. Raises TrackingUnavailable, after which
        nothing is lost and the next call goes on."""
        if not self._pending and not self._read():
            return False
        files = []
        while self._pending:
            call = self._pending[0]
            if isinstance(call, BatchCall):
                self._log_batch(call)
            else:
                self._deliver(call)
                if call.kind == "file":
                    files.append(call.item["name"])
            self._pending.popleft()
        self.source.deliver(self._end)
        for name in files:  # only now: before it, another process would look for them
            self.source.remove_file(name)
        return True

    def _read(self) -> bool:
        """Whether there was anything."""
        chunk = self.source.read()
        calls, damaged = calls_of(chunk.lines, are_ours=self.source.is_ours)
        damaged += chunk.is_cut_off
        self.damaged += damaged
        if damaged:
            log.warning("%s has %d lines that cannot be read.", self.source.place, damaged)
        self._pending.extend(calls)
        self._end = chunk.end
        if not calls and damaged:
            self.source.deliver(self._end)
        return bool(calls or damaged)

    def _deliver(self, call: SingleCall) -> None:
        run_id = self._their_id(call.run_id)
        deliver: Mapping[str, Callable[[str, dict[str, Any]], None]] = {
            "create": lambda _, item: self._create(call.run_id, item),
            "call": self._call,
            "file": self._put_file,
        }
        try:
            deliver[call.kind](run_id, call.item)
            self.delivered += 1
        except TrackingRefused as error:
            self._refuse(_shown(call.kind, call.item), 1, run_id, error)

    def _log_batch(self, batch: BatchCall) -> None:
        """Of a call that is refused only what is at fault is left out, which is found by halving."""
        run_id = self._their_id(batch.run_id)
        try:
            self._transport.post_encoded(_LOG_BATCH, batch.body(run_id))
            self.delivered += batch.count
            return
        except TrackingRefused as error:
            waiting = self._parts(run_id, batch.content(), error)
        while waiting:
            part = waiting.pop()
            try:
                self._transport.post_encoded(_LOG_BATCH, encode({"run_id": run_id, **part}).encode())
                self.delivered += sum(map(len, part.values()))
            except TrackingRefused as error:
                waiting += self._parts(run_id, part, error)

    def _parts(self, run_id: str, content: Mapping[str, Any], error: TrackingRefused) -> list[dict[str, Any]]:
        """What of a refused call is tried again, the last one first; none where the fault is found."""
        parts = halves(content)
        if len(parts) == 1 or error.error_code == "RESOURCE_DOES_NOT_EXIST":
            self._refuse(_batch_shown(content), sum(map(len, content.values())), run_id, error)
            return []
        return parts[::-1]

    def _their_id(self, run_id: str) -> str:
        return self.source.run_ids.get(run_id, run_id)

    def _create(self, ours: str, item: dict[str, Any]) -> None:
        """A run that could not be made when it started."""
        fields = dict(item)
        name = fields.pop("experiment_name", "")
        if name:
            fields["experiment_id"] = self._experiment_id(name)
        tags = {tag["key"]: tag["value"] for tag in fields.get("tags", [])}
        if _PARENT_TAG in tags:
            tags[_PARENT_TAG] = self.source.run_ids.get(tags[_PARENT_TAG], tags[_PARENT_TAG])
        run_id = create_run(self._transport, ours, {**fields, "tags": tags})
        if run_id != ours:
            self.source.run_ids[ours] = run_id

    def _experiment_id(self, name: str) -> str:
        """Of the experiment with a name, which is made if there is none. Raises TrackingRefused."""
        try:
            return experiment_id_of(self._transport, name)
        except TrackingRefused as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
        try:
            with shape_of_answers(self._transport):
                return str(self._transport.post("experiments/create", {"name": name})["experiment_id"])
        except TrackingRefused as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
            return experiment_id_of(self._transport, name)

    def _call(self, run_id: str, item: dict[str, Any]) -> None:
        self._transport.send(item.get("method", "POST"), item["path"], {"run_id": run_id, **item["fields"]})

    def _put_file(self, run_id: str, item: dict[str, Any]) -> None:
        directory = item.get("directory") or self._directories.get(run_id)
        if directory is None:
            with shape_of_answers(self._transport):
                found = self._transport.get("runs/get", {"run_id": run_id})
                directory = self._directories[run_id] = str(found["run"]["info"]["artifact_uri"])
        try:
            with self.source.open_file(item["name"]) as file:
                self._transport.put_file(directory, item["path"], file, file.seek(0, 2) - file.seek(0))
        except (FileNotFoundError, NotADirectoryError, PermissionError) as error:
            raise TrackingRefused(
                "Its content is not in the spool, or not as the program put it there.", status=404
            ) from error

    def _refuse(self, what: str, count: int, run_id: str, error: TrackingRefused) -> None:
        self.refused += count
        refusal = f"{what} of run {run_id} was not logged: {error}"
        if len(self.refusals) < _MAX_REFUSALS:
            self.refusals.append(refusal)
        log.warning("%s", refusal)


def create_run(transport: TrackingTransport, ours: str, fields: Mapping[str, Any], *, is_new: bool = False) -> str:
    """Makes a run once, however often it is called for one id of ours; the id that it has. `tags` is by key. `is_new`
    is for an id that was never sent before."""
    tags = dict(fields["tags"])
    if transport.takes_run_ids:
        try:
            return str(_created(transport, {**fields, "run_id": ours, "tags": _pairs(tags)}))
        except TrackingRefused as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
            return ours
    search = {"experiment_ids": [fields["experiment_id"]], "filter": f"tags.`{CLIENT_RUN_TAG}` = '{ours}'"}
    if not is_new:
        with shape_of_answers(transport):
            if found := transport.post("runs/search", {**search, "max_results": 1}).get("runs"):
                return str(found[0]["info"]["run_id"])
    return _created(transport, {**fields, "tags": _pairs({**tags, CLIENT_RUN_TAG: ours})})


def experiment_id_of(transport: TrackingTransport, name: str) -> str:
    """Raises TrackingRefused."""
    with shape_of_answers(transport):
        found = transport.get("experiments/get-by-name", {"experiment_name": name})
        return str(found["experiment"]["experiment_id"])


def _created(transport: TrackingTransport, fields: Mapping[str, Any]) -> str:
    with shape_of_answers(transport):
        return str(transport.post("runs/create", fields)["run"]["info"]["run_id"])


def _pairs(tags: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"key": key, "value": value} for key, value in tags.items()]


def _batch_shown(content: Mapping[str, Any]) -> str:
    """`The metric 'loss' at step 3`, or how many of them."""
    items = [(kind, item) for kind in LIMITS for item in content.get(kind, ())]
    if len(items) > 1:
        return f"A batch of {len(items)} metrics, params and tags"
    kind, item = items[0]
    where = f" at step {item['step']}" if kind == "metrics" else ""
    return f"The {kind[:-1]} {item['key'][:100]!r}{where}"


def _shown(kind: str, item: Mapping[str, Any]) -> str:
    if kind == "file":
        return f"The file {posixpath.basename(item['path'])!r}"
    return "The start" if kind == "create" else f"A change ({item['path']})"
