"""What a run logs: params, metrics, tags and datasets. None of it waits for a server unless `synchronous` says so."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from time import time_ns
from typing import Any, SupportsFloat, SupportsIndex, Union

from penstock.errors import TrackingInvalid
from penstock.fluent.data.inputs import log_inputs
from penstock.fluent.outbox.entries import LIMITS, json_number
from penstock.fluent.outbox.outbox import Outbox
from penstock.fluent.runs import active_run, run_in_use, target_of
from penstock.fluent.session import FLUSH_SECONDS, current_session

_MAX_WHOLE = 2**63 - 1

_Number = Union[SupportsFloat, SupportsIndex]
_Point = tuple[str, float, int, int]


class RunOperations:
    """What was logged with `synchronous=False`, as MLflow's."""

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox

    def wait(self) -> None:
        """Until it is delivered, or known to be kept in the spool."""
        self._outbox.flush(FLUSH_SECONDS)


def log_param(key: str, value: Any, synchronous: bool | None = None) -> Any:
    """The value. Raises TrackingInvalid where the run has another value for it."""
    operations = log_params({key: value}, synchronous)
    return operations if operations is not None else value


def log_params(
    params: Mapping[str, Any], synchronous: bool | None = None, run_id: str | None = None
) -> RunOperations | None:
    """Each value is logged as its text. Raises TrackingInvalid where the run has another value for one."""
    texts = {_key("param", key): str(value) for key, value in params.items()}
    if run_id is None:
        run = run_in_use()
        for key, value in texts.items():
            run.check_param(key, value)
    run_id, outbox = target_of(run_id)
    outbox.put_all("params", run_id, texts.items())
    return ended(outbox, synchronous)


def log_metric(
    key: str,
    value: _Number,
    step: int | None = None,
    synchronous: bool | None = None,
    timestamp: int | None = None,
    run_id: str | None = None,
    model_id: str | None = None,
    dataset: Any = None,
) -> RunOperations | None:
    """`timestamp` is milliseconds since 1970, now if there is none; `step` is 0 if there is none. `model_id` is the
    logged model that it is of, by default those that the run logged at that step; `dataset` what it was measured on.
    Raises TrackingInvalid for what is no number."""
    # What is as it should be is not asked twice: a call finds the caches full of the training's own.
    point = (
        key if type(key) is str and key else _key("metric", key),
        value if type(value) is float else _number(key, value),
        time_ns() // 1_000_000 if timestamp is None else _whole("timestamp", timestamp),
        0 if step is None else _whole("step", step),
    )
    if run_id is None and model_id is None and dataset is None:
        run = run_in_use()
        if not run.models:
            run.outbox.put("metrics", run.info.run_id, point)
            return None if synchronous is None else ended(run.outbox, synchronous)
    return ended(_put_points([point], run_id, model_id, dataset), synchronous)


def log_metrics(
    metrics: Mapping[str, _Number],
    step: int | None = None,
    synchronous: bool | None = None,
    run_id: str | None = None,
    timestamp: int | None = None,
    model_id: str | None = None,
    dataset: Any = None,
) -> RunOperations | None:
    """The same for several, at one time and step; if one of them is no number, none is logged."""
    at = time_ns() // 1_000_000 if timestamp is None else _whole("timestamp", timestamp)
    place = 0 if step is None else _whole("step", step)
    points = [
        (
            key if type(key) is str and key else _key("metric", key),
            value if type(value) is float else _number(key, value),
            at,
            place,
        )
        for key, value in metrics.items()
    ]
    if run_id is None and model_id is None and dataset is None:
        run = run_in_use()
        if not run.models:
            run.outbox.put_all("metrics", run.info.run_id, points)
            return None if synchronous is None else ended(run.outbox, synchronous)
    return ended(_put_points(points, run_id, model_id, dataset), synchronous)


def log_points(run_id: str | None, points: Sequence[Mapping[str, Any]]) -> None:
    """Points that say more than others, as the model that they are of, in the form of MLflow's REST."""
    run_id, outbox = target_of(run_id)
    for first in range(0, len(points), LIMITS["metrics"]):
        part = points[first : first + LIMITS["metrics"]]
        fields = {"metrics": [{**point, "value": json_number(point["value"])} for point in part]}
        outbox.put("call", run_id, {"path": "runs/log-batch", "fields": fields})


def set_tag(key: str, value: Any, synchronous: bool | None = None) -> RunOperations | None:
    """In place of the tag's value before."""
    return set_tags({key: value}, synchronous)


def set_tags(
    tags: Mapping[str, Any], synchronous: bool | None = None, run_id: str | None = None
) -> RunOperations | None:
    """The same for several."""
    pairs = [(_key("tag", key), str(value)) for key, value in tags.items()]
    run_id, outbox = target_of(run_id)
    outbox.put_all("tags", run_id, pairs)
    return ended(outbox, synchronous)


def delete_tag(key: str) -> None:
    """Of the active run."""
    run_id, outbox = target_of(None)
    outbox.put("call", run_id, {"path": "runs/delete-tag", "fields": {"key": _key("tag", key)}})


def flush_async_logging(timeout: float = FLUSH_SECONDS) -> bool:
    """Waits until all that was logged is delivered; whether it is. What is not is in the spool."""
    return current_session().destination().outbox.flush(timeout)


def _put_points(points: Sequence[_Point], run_id: str | None, model_id: str | None, dataset: Any) -> Outbox:
    """Each of them for each of the models that it is of."""
    run = run_in_use() if run_id is None else active_run()
    if run is None or run_id not in (None, run.info.run_id):
        run = None
    run_id, outbox = target_of(run_id) if run is None else (run.info.run_id, run.outbox)
    more: list[dict[str, Any]] = []
    about = {} if dataset is None else {"dataset_name": dataset.name, "dataset_digest": dataset.digest}
    for point in points:
        models = [model_id] if model_id else run.models.get(point[3], []) if run is not None else []
        if not models and not about:
            outbox.put("metrics", run_id, point)
        for each in models or ([""] if about else []):
            fields = {**dict(zip(("key", "value", "timestamp", "step"), point)), **about}
            more.append({**fields, **({"model_id": each} if each else {})})
    log_points(run_id, more)
    if dataset is not None and (run is None or (dataset.name, dataset.digest) not in run.datasets):
        log_inputs([dataset], [None], [None], run_id=run_id)
    return outbox


def ended(outbox: Outbox, synchronous: bool | None) -> RunOperations | None:
    """What a call that logged returns: with `synchronous` it waits for delivery."""
    if synchronous:
        outbox.flush(FLUSH_SECONDS)
    return RunOperations(outbox) if synchronous is False else None


def _key(kind: str, key: str) -> str:
    if not isinstance(key, str) or not key:
        raise TrackingInvalid(f"{key!r} is not a name for a {kind}.", hint="Names are texts.", field="key")
    return key


def _whole(what: str, number: int | None) -> int:
    """Of 64 bits with a sign, as every store of runs keeps it."""
    whole = int(number or 0)
    if not -_MAX_WHOLE <= whole <= _MAX_WHOLE:
        raise TrackingInvalid(f"The {what} is no number of 64 bits.", field=what)
    return whole


def _number(key: str, value: _Number) -> float:
    """Also of what holds one number, as an array or a tensor does."""
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise TrackingInvalid(
            f"The metric {key!r} is {repr(value)[:100]}, which is no number.", field="value"
        ) from error
