"""Logging which data a run took."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from penstock.errors import TrackingInvalid
from penstock.fluent.runs import active_run, target_of

_CONTEXT_TAG = "mlflow.data.context"


def log_input(dataset: Any, context: str | None = None, tags: Mapping[str, Any] | None = None) -> None:
    """A dataset that the active run takes, of `from_pandas`, `from_numpy`, or of MLflow's own classes. `context` says
    what for, as "train" or "eval"."""
    log_inputs([dataset], [context], [tags])


def log_inputs(
    datasets: Sequence[Any] | None = None,
    contexts: Sequence[str | None] | None = None,
    tags_list: Sequence[Mapping[str, Any] | None] | None = None,
    models: Any = None,
    run_id: str | None = None,
) -> None:
    """Several of them: the three lists are as long as each other. Raises TrackingInvalid. Logged models as inputs are
    no part of it, as with any server but Databricks'."""
    datasets, contexts, tags_list = datasets or [], contexts or [], tags_list or []
    if not len(datasets) == len(contexts) == len(tags_list):
        raise TrackingInvalid(
            "datasets, contexts and tags_list are lists of one length.", hint="Use None for no context or tags."
        )
    if models:
        raise TrackingInvalid("Logged models cannot be logged as inputs.", field="models")
    given = [input_json(*each) for each in zip(datasets, contexts, tags_list)]
    if given:
        run_id, outbox = target_of(run_id)
        if (run := active_run()) is not None and run.info.run_id == run_id:
            run.datasets.update((each["dataset"]["name"], each["dataset"]["digest"]) for each in given)
        outbox.put("call", run_id, {"path": "runs/log-inputs", "fields": {"datasets": given}})


def input_json(dataset: Any, context: str | None = None, tags: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """As REST has it. Raises TrackingInvalid for what is no dataset."""
    if not callable(getattr(dataset, "to_dict", None)) or not hasattr(dataset, "digest"):
        raise TrackingInvalid(
            f"{type(dataset).__name__} is no dataset.",
            hint="Make one with penstock.tracking.data.from_pandas or from_numpy.",
            field="dataset",
        )
    fields = {name: text for name, text in dataset.to_dict().items() if text is not None}
    pairs = {**(tags or {}), **({_CONTEXT_TAG: context} if context else {})}
    return {"tags": [{"key": key, "value": str(value)} for key, value in pairs.items()], "dataset": fields}
