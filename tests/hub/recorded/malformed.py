"""Requests of which one field is not as it should be: every call, every field, every kind of wrong value."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator
from typing import Any

from hub.recorded.player import Asked

# What a field may hold instead. None stands for itself; a missing field is asked apart.
_WRONG: tuple[Any, ...] = (31, 9.5, "", "foo", None, [1], 2**63, -1)
_WRONG_INSIDE: tuple[Any, ...] = (31, True, "", None, [], "NaN")
_WRONG_QUERY: tuple[Any, ...] = ("", "foo", "-1", "1.5", ["1", "2"])

_PAIR = {"key": "k", "value": "v"}
_DATASET = {"name": "d", "digest": "1", "source_type": "local", "source": "{}", "schema": "{}", "profile": "{}"}

# Method, path, fields that are right. `*` stands for a name of its own in each request.
_CALLS: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("POST", "experiments/create", {"name": "*", "artifact_location": "s3://b/x", "tags": [_PAIR]}),
    ("POST", "experiments/update", {"experiment_id": "{EXP}", "new_name": "*"}),
    ("POST", "experiments/restore", {"experiment_id": "{EXP}"}),
    ("POST", "experiments/set-experiment-tag", {"experiment_id": "{EXP}", "key": "k", "value": "v"}),
    ("POST", "experiments/delete-experiment-tag", {"experiment_id": "{EXP}", "key": "k"}),
    (
        "POST",
        "experiments/search",
        {"max_results": 1, "page_token": "", "filter": "name = 'nobody'", "order_by": ["name"]},
    ),
    (
        "POST",
        "runs/create",
        {"experiment_id": "{EXP}", "user_id": "ann", "run_name": "r", "start_time": 1, "tags": [_PAIR]},
    ),
    ("POST", "runs/update", {"run_id": "{RUN}", "status": "RUNNING", "end_time": 2, "run_name": "r"}),
    (
        "POST",
        "runs/log-metric",
        {"run_id": "{RUN}", "key": "m", "value": 1.5, "timestamp": 1, "step": 1},
    ),
    ("POST", "runs/log-parameter", {"run_id": "{RUN}", "key": "p", "value": "v"}),
    ("POST", "runs/set-tag", {"run_id": "{RUN}", "key": "t", "value": "v"}),
    ("POST", "runs/delete-tag", {"run_id": "{RUN}", "key": "t"}),
    (
        "POST",
        "runs/log-batch",
        {
            "run_id": "{RUN}",
            "metrics": [{"key": "b", "value": 1.5, "timestamp": 1, "step": 1}],
            "params": [{"key": "q", "value": "v"}],
            "tags": [_PAIR],
        },
    ),
    (
        "POST",
        "runs/log-inputs",
        {"run_id": "{RUN}", "datasets": [{"dataset": _DATASET, "tags": [_PAIR]}], "models": [{"model_id": "{MODEL}"}]},
    ),
    ("POST", "runs/outputs", {"run_id": "{RUN}", "models": [{"model_id": "{MODEL}", "step": 1}]}),
    (
        "POST",
        "runs/search",
        {
            "experiment_ids": ["{EXP}"],
            "filter": "params.nobody = 'x'",
            "run_view_type": "ALL",
            "max_results": 1,
            "order_by": ["start_time"],
            "page_token": "",
        },
    ),
    ("POST", "runs/restore", {"run_id": "{RUN}"}),
    ("POST", "runs/log-model", {"run_id": "{RUN}", "model_json": "{}"}),
    (
        "POST",
        "logged-models",
        {
            "experiment_id": "{EXP}",
            "name": "model",
            "model_type": "agent",
            "source_run_id": "{RUN}",
            "params": [_PAIR],
            "tags": [_PAIR],
        },
    ),
    (
        "POST",
        "logged-models/search",
        {
            "experiment_ids": ["{EXP}"],
            "filter": "params.nobody = 'x'",
            "max_results": 1,
            "order_by": [{"field_name": "name", "ascending": True}],
            "page_token": "",
            "datasets": [{"dataset_name": "d", "dataset_digest": "1"}],
        },
    ),
    ("PATCH", "logged-models/{MODEL}", {"model_id": "{MODEL}", "status": "LOGGED_MODEL_READY"}),
    ("PATCH", "logged-models/{MODEL}/tags", {"model_id": "{MODEL}", "tags": [_PAIR]}),
    ("POST", "logged-models/{MODEL}/params", {"model_id": "{MODEL}", "params": [_PAIR]}),
    ("POST", "registered-models/create", {"name": "*", "description": "d", "tags": [_PAIR]}),
    ("PATCH", "registered-models/update", {"name": "rm", "description": "d"}),
    ("POST", "registered-models/rename", {"name": "rm", "new_name": "rm"}),
    ("POST", "registered-models/set-tag", {"name": "rm", "key": "k", "value": "v"}),
    ("POST", "registered-models/alias", {"name": "rm", "alias": "a", "version": "1"}),
    ("POST", "registered-models/get-latest-versions", {"name": "rm", "stages": ["None"]}),
    (
        "POST",
        "model-versions/create",
        {
            "name": "rm",
            "source": "s3://b/x",
            "run_id": "{RUN}",
            "tags": [_PAIR],
            "run_link": "l",
            "description": "d",
        },
    ),
    ("PATCH", "model-versions/update", {"name": "rm", "version": "1", "description": "d"}),
    (
        "POST",
        "model-versions/transition-stage",
        {"name": "rm", "version": "1", "stage": "Staging", "archive_existing_versions": False},
    ),
    ("POST", "model-versions/set-tag", {"name": "rm", "version": "1", "key": "k", "value": "v"}),
)
_QUERIES: tuple[tuple[str, dict[str, Any]], ...] = (
    ("experiments/get", {"experiment_id": "{EXP}"}),
    ("experiments/get-by-name", {"experiment_name": "malformed"}),
    ("experiments/search", {"max_results": 1, "filter": "name = 'nobody'"}),
    ("runs/get", {"run_id": "{RUN}"}),
    ("metrics/get-history", {"run_id": "{RUN}", "metric_key": "nobody", "max_results": 1, "page_token": ""}),
    (
        "metrics/get-history-bulk-interval",
        {"run_ids": "{RUN}", "metric_key": "nobody", "start_step": 1, "end_step": 2, "max_results": 1},
    ),
    ("/ajax-api/2.0/mlflow/metrics/get-history-bulk", {"run_id": "{RUN}", "metric_key": "nobody", "max_results": 1}),
    ("artifacts/list", {"run_id": "{RUN}", "path": "nobody", "page_token": ""}),
    ("registered-models/get", {"name": "rm"}),
    ("registered-models/search", {"filter": "name = 'nobody'", "max_results": 1, "order_by": "name", "page_token": ""}),
    ("registered-models/alias", {"name": "rm", "alias": "a"}),
    ("model-versions/get", {"name": "rm", "version": "1"}),
    ("model-versions/get-download-uri", {"name": "rm", "version": "1"}),
    ("model-versions/search", {"filter": "name = 'nobody'", "max_results": 1, "order_by": "name", "page_token": ""}),
)
_BODIES: tuple[tuple[bytes, str], ...] = (
    (b"", "application/json"),
    (b"{", "application/json"),
    (b"nonsense", "application/json"),
    (b"[]", "application/json"),
    (b"3", "application/json"),
    (b'"text"', "application/json"),
    (b"null", "application/json"),
    (b'{"run_id": "\xff"}', "application/json"),
    (b'{"name": "a", "name": "b"', "application/json; charset=utf-8"),
    (b"{}", "text/plain"),
    (b"name=x", "application/x-www-form-urlencoded"),
    (b"{}", ""),
)


def requests() -> list[Asked]:
    return [
        Asked("POST", "experiments/create", {"name": "malformed"}, keep="EXP"),
        Asked("POST", "runs/create", {"experiment_id": "{EXP}", "start_time": 1, "run_name": "r"}, keep="RUN"),
        Asked("POST", "logged-models", {"experiment_id": "{EXP}", "name": "model"}, keep="MODEL"),
        Asked("POST", "registered-models/create", {"name": "rm"}),
        Asked("POST", "model-versions/create", {"name": "rm", "source": "s3://b/x"}),
        *_changed(),
        *_asked_wrongly(),
        *(
            Asked("POST", path, body=body, kind=kind)
            for path in ("experiments/create", "runs/log-batch", "runs/search")
            for body, kind in _BODIES
        ),
        Asked("POST", "experiments/create?name=in-the-query"),
        Asked("POST", "runs/set-tag?run_id={RUN}&key=q&value=v", {}),
        Asked("POST", "experiments/create", {"name": "unknown-fields", "nobody": 1, "knows": {"this": []}}),
        Asked("GET", "runs/get", {"run_id": "0" * 32, "nobody": "1"}),
        *(Asked(method, "experiments/create", {}) for method in ("GET", "PUT", "DELETE", "PATCH")),
        Asked("POST", "experiments/get", {"experiment_id": "{EXP}"}),
        Asked("GET", "nothing/here"),
        Asked("GET", "/api/2.0/nothing"),
        Asked("POST", "/api/3.0/mlflow/runs/create", {}),
    ]


def _changed() -> Iterator[Asked]:
    for method, path, right in _CALLS:
        for field, value in right.items():
            for wrong in _WRONG:
                yield _one(method, path, {**right, field: wrong}, field)
            yield _one(method, path, {key: each for key, each in right.items() if key != field}, field)
            if isinstance(value, list) and isinstance(value[0], dict):
                yield from _inside(method, path, right, field, value[0])


def _inside(method: str, path: str, right: dict[str, Any], field: str, entry: dict[str, Any]) -> Iterator[Asked]:
    """One level deeper, and two for a dataset among inputs."""
    for name in entry:
        for wrong in _WRONG_INSIDE:
            yield _one(method, path, {**right, field: [{**entry, name: wrong}]}, name)
        yield _one(method, path, {**right, field: [{key: each for key, each in entry.items() if key != name}]}, name)
    if "dataset" in entry:
        for name in _DATASET:
            for wrong in _WRONG_INSIDE:
                yield _one(method, path, {**right, field: [{"dataset": {**_DATASET, name: wrong}}]}, name)
            less = {key: each for key, each in _DATASET.items() if key != name}
            yield _one(method, path, {**right, field: [{"dataset": less}]}, name)


def _asked_wrongly() -> Iterator[Asked]:
    for path, right in _QUERIES:
        for field in right:
            for wrong in _WRONG_QUERY:
                yield Asked("GET", path, {**right, field: wrong}, wrong=field)
            yield Asked("GET", path, {key: each for key, each in right.items() if key != field}, wrong=field)


def _one(method: str, path: str, fields: dict[str, Any], wrong: str) -> Asked:
    """A name of its own is made of all the rest."""
    own = f"n{zlib.crc32(json.dumps([path, fields]).encode()):08x}"
    return Asked(method, path, {key: own if value == "*" else value for key, value in fields.items()}, wrong=wrong)
