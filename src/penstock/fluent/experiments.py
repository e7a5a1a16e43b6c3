"""Experiments: the one that runs are filed under, and those of a server."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from penstock.errors import TrackingInvalid, TrackingRefused, TrackingUnavailable
from penstock.fluent.outbox.delivery import experiment_id_of
from penstock.fluent.session import Destination, current_session
from penstock.fluent.transport.shape import shape_of_answers
from penstock.fluent.views import TrackedExperiment

_DEFAULT_ID = "0"
_MISSING, _EXISTS = "RESOURCE_DOES_NOT_EXIST", "RESOURCE_ALREADY_EXISTS"
_PAGE = 1000


class ViewType:
    """Which of the runs or experiments a search looks at, by MLflow's numbers."""

    ACTIVE_ONLY, DELETED_ONLY, ALL = 1, 2, 3

    @staticmethod
    def name_of(view: int) -> str:
        """As REST has it. Raises TrackingInvalid."""
        names = {1: "ACTIVE_ONLY", 2: "DELETED_ONLY", 3: "ALL"}
        if view not in names:
            raise TrackingInvalid(f"{view!r} is no view type.", hint="Use ViewType.ACTIVE_ONLY, DELETED_ONLY or ALL.")
        return names[view]


def set_experiment(experiment_name: str | None = None, experiment_id: str | None = None) -> TrackedExperiment:
    """Later runs are filed under it. One of that name is made where there is none; if no server answers, that is done
    when one does. Raises TrackingInvalid for a deleted one, and TrackingRefused."""
    if (experiment_name is None) == (experiment_id is None):
        raise TrackingInvalid("Give the name of an experiment, or its id, and not both.", field="experiment_name")
    destination = current_session().destination()
    try:
        found = get_experiment(experiment_id) if experiment_id else _made(destination, str(experiment_name))
    except TrackingUnavailable:
        found = TrackedExperiment(experiment_id or "", experiment_name or "")
    if found.lifecycle_stage == "deleted":
        raise TrackingInvalid(
            f"Cannot set a deleted experiment {found.name!r} as the active experiment.",
            hint="Restore it with restore_experiment(), or take another name.",
        )
    current_session().experiment_id, current_session().experiment_name = found.experiment_id, found.name
    return found


def current_experiment(destination: Destination) -> tuple[str, str]:
    """The id that runs are filed under, or the name where the id is not known yet: what was set, else what
    `MLFLOW_EXPERIMENT_ID` or `MLFLOW_EXPERIMENT_NAME` says, else MLflow's default."""
    now = current_session()
    if now.experiment_id:
        return now.experiment_id, ""
    name = now.experiment_name
    if not name:
        if set_id := os.environ.get("MLFLOW_EXPERIMENT_ID", "").strip():
            return set_id, ""
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME", "").strip()
    if not name:
        return _DEFAULT_ID, ""
    if destination.outbox.is_failing:
        return "", name
    try:
        now.experiment_id, now.experiment_name = _made(destination, name).experiment_id, name
    except TrackingUnavailable:
        return "", name
    return now.experiment_id, ""


def create_experiment(name: str, artifact_location: str | None = None, tags: Mapping[str, Any] | None = None) -> str:
    """The new experiment's id. Raises TrackingRefused where the name is taken, perhaps by a deleted one."""
    pairs = [{"key": key, "value": str(value)} for key, value in (tags or {}).items()]
    fields: dict[str, Any] = {"name": name, "tags": pairs}
    if artifact_location:
        fields["artifact_location"] = artifact_location
    with shape_of_answers(current_session().destination().transport):
        return str(_post("experiments/create", fields)["experiment_id"])


def get_experiment(experiment_id: str) -> TrackedExperiment:
    """Deleted ones, too. Raises TrackingRefused where there is none."""
    transport = current_session().destination().transport
    with shape_of_answers(transport):
        return TrackedExperiment.of_json(
            transport.get("experiments/get", {"experiment_id": experiment_id})["experiment"]
        )


def get_experiment_by_name(name: str) -> TrackedExperiment | None:
    """Deleted ones, too; None where there is none."""
    transport = current_session().destination().transport
    try:
        with shape_of_answers(transport):
            found = transport.get("experiments/get-by-name", {"experiment_name": name})["experiment"]
            return TrackedExperiment.of_json(found)
    except TrackingRefused as error:
        if error.error_code != _MISSING:
            raise
        return None


def search_experiments(
    view_type: int = ViewType.ACTIVE_ONLY,
    max_results: int | None = None,
    filter_string: str | None = None,
    order_by: Sequence[str] | None = None,
) -> list[TrackedExperiment]:
    """All of them, or the first `max_results`. Raises TrackingRefused for a filter that cannot be read."""
    fields: dict[str, Any] = {"view_type": ViewType.name_of(view_type), "order_by": list(order_by or ())}
    if filter_string:
        fields["filter"] = filter_string
    found: list[TrackedExperiment] = []
    while True:
        left = _PAGE if max_results is None else min(max_results - len(found), _PAGE)
        if left <= 0:
            return found
        page = _post("experiments/search", {**fields, "max_results": left})
        found += [TrackedExperiment.of_json(each) for each in page.get("experiments", [])]
        if not page.get("next_page_token"):
            return found
        fields["page_token"] = page["next_page_token"]


def delete_experiment(experiment_id: str) -> None:
    """With its runs, until it is restored."""
    _post("experiments/delete", {"experiment_id": experiment_id})


def restore_experiment(experiment_id: str) -> None:
    """With its runs."""
    _post("experiments/restore", {"experiment_id": experiment_id})


def set_experiment_tag(key: str, value: Any) -> None:
    """Of the experiment that runs are filed under."""
    destination = current_session().destination()
    experiment_id, name = current_experiment(destination)
    if not experiment_id:
        raise TrackingUnavailable(f"{destination.transport.place} does not tell the id of experiment {name!r}.")
    _post("experiments/set-experiment-tag", {"experiment_id": experiment_id, "key": key, "value": str(value)})


def set_experiment_tags(tags: Mapping[str, Any]) -> None:
    """Several of them."""
    for key, value in tags.items():
        set_experiment_tag(key, value)


def _made(destination: Destination, name: str) -> TrackedExperiment:
    if (found := get_experiment_by_name(name)) is not None:
        return found
    try:
        return get_experiment(create_experiment(name))
    except TrackingRefused as error:
        if error.error_code != _EXISTS:
            raise
        return get_experiment(experiment_id_of(destination.transport, name))  # made by another one in this moment


def _post(path: str, fields: Mapping[str, Any]) -> dict[str, Any]:
    return current_session().destination().transport.post(path, fields)
