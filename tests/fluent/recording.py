"""A transport that keeps what it is told, and that fails when it is told to."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from typing import Any, BinaryIO

from penstock.errors import TrackingRefused, TrackingUnavailable
from penstock.fluent.transport.interface import TrackingTransport


class RecordingTransport(TrackingTransport):
    """`away` makes every call fail; `refuse` is asked about every change."""

    def __init__(self, *, takes_run_ids: bool = True) -> None:
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.files: dict[str, bytes] = {}
        self.runs: dict[str, dict[str, Any]] = {}
        self.away = False
        self.refuse: Callable[[str, Mapping[str, Any]], TrackingRefused | None] = lambda path, fields: None
        self.asked = threading.Event()
        self._takes_run_ids = takes_run_ids

    @property
    def place(self) -> str:
        return "http://recording"

    @property
    def takes_run_ids(self) -> bool:
        return self._takes_run_ids

    def get(self, path: str, fields: Mapping[str, Any]) -> dict[str, Any]:
        self._ask(path, fields)
        if path == "runs/get":
            info = {"run_id": fields["run_id"], "experiment_id": "7", "artifact_uri": f"at:{fields['run_id']}"}
            return {"run": {"info": info}}
        return {"experiment": {"experiment_id": "7"}}

    def post(self, path: str, fields: Mapping[str, Any]) -> dict[str, Any]:
        self._ask(path, fields)
        if path == "runs/search":
            ours = fields["filter"].rpartition("= ")[2].strip("'")
            found = [run_id for run_id, run in self.runs.items() if {"value": ours} in tag_values(run)]
            return {"runs": [{"info": {"run_id": run_id}} for run_id in found]}
        self.calls.append((path, dict(fields)))
        if path == "runs/create":
            run_id = fields["run_id"] if self._takes_run_ids else f"theirs-{len(self.runs)}"
            if run_id in self.runs:
                raise TrackingRefused("It exists.", error_code="RESOURCE_ALREADY_EXISTS")
            self.runs[run_id] = dict(fields)
            return {"run": {"info": {"run_id": run_id}}}
        return {}

    def post_encoded(self, path: str, body: bytes) -> None:
        self.post(path, json.loads(body))

    def send(self, method: str, path: str, fields: Mapping[str, Any]) -> dict[str, Any]:
        return self.post(path, fields)

    def list_files(self, directory: str, path: str) -> list[dict[str, Any]]:
        return []

    def put_file(self, directory: str, path: str, file: BinaryIO, size: int) -> None:
        self._ask(path, {})
        self.files[f"{directory}/{path}"] = file.read()

    def read_file(self, directory: str, path: str) -> bytes:
        return self.files[f"{directory}/{path}"]

    def close(self) -> None:
        pass

    def points(self, run_id: str, key: str) -> list[tuple[float, int]]:
        """(value, step) of what came, in the order in which it came."""
        return [
            (point["value"], point["step"])
            for path, fields in self.calls
            if path == "runs/log-batch" and fields["run_id"] == run_id
            for point in fields.get("metrics", ())
            if point["key"] == key
        ]

    def _ask(self, path: str, fields: Mapping[str, Any]) -> None:
        self.asked.set()
        if self.away:
            raise TrackingUnavailable("Nobody is there.")
        if (error := self.refuse(path, fields)) is not None:
            raise error


def tag_values(run: Mapping[str, Any]) -> list[dict[str, str]]:
    return [{"value": tag["value"]} for tag in run["tags"]]
