"""What an object is known by between imports: a digest of all that was said of it."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import datetime
from typing import Any

import orjson

from penstock.registry.entries import ModelVersion, RegisteredModel
from penstock.tracking.experiments import Experiment
from penstock.tracking.logged_models import LoggedModel
from penstock.tracking.runs import Run

_SIZE = 16


def experiment_mark(experiment: Experiment) -> bytes:
    """Without when it changed last: that also changes where it is tagged back and forth."""
    return _digest(replace(experiment, last_update_time=0))


def run_mark(run: Run) -> bytes:
    """Without its points and what only the store knows."""
    taken, made = tuple(sorted(run.model_inputs)), tuple(sorted(run.model_outputs))
    return _digest(replace(run, metrics=(), changed=0, model_inputs=taken, model_outputs=made))


def logged_model_mark(model: LoggedModel, deleted: bool) -> bytes:
    metrics = tuple(sorted(model.metrics, key=repr))
    return _digest([replace(model, metrics=metrics, last_update_time=0), deleted])


def registered_model_mark(model: RegisteredModel) -> bytes:
    """Without its versions, which have marks of their own."""
    return _digest(
        [model.name, _milliseconds(model.created_at), model.description, dict(model.tags), dict(model.aliases)]
    )


def version_mark(version: ModelVersion) -> bytes:
    """Without its aliases, which are the model's, and what its files say. Where its files are is known by `origin`."""
    return _digest(
        [
            *(version.name, version.version, version.origin, _milliseconds(version.created_at), version.description),
            *(version.run_id, version.run_link, version.logged_model, dict(version.tags), version.registered_by),
            *(version.stage, version.status, version.status_message),
        ]
    )


def text_mark(text: str) -> bytes:
    return hashlib.blake2b(text.encode("utf-8", "backslashreplace"), digest_size=_SIZE).digest()


def _digest(value: Any) -> bytes:
    text = orjson.dumps(value, default=list, option=orjson.OPT_SORT_KEYS)
    return hashlib.blake2b(text, digest_size=_SIZE).digest()


def _milliseconds(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)
