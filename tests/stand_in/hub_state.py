"""What a store holds after a program, in a form that tells two clients apart and not two days: ids, times, users and
random names are left out."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any

from penstock.fluent import TrackingClient, ViewType, list_artifacts
from penstock.fluent.models.logged_models import TrackedModel
from penstock.fluent.views import TrackedRun

# What MLflow's own client left, by program; and the experiments of programs that are not named like them.
RECORDED = Path(__file__).with_name("made_by_mlflow.json")
EXPERIMENTS = {"by_client": "by client", "gone_on_with": "gone on with"}

# What says who ran a program, where, and with what; and what only our client needs.
_OF_THE_PLACE = ("mlflow.user", "mlflow.source.", "penstock.")
_RANDOM_NAME = re.compile(r"[a-z]+-[a-z]+-\d+")
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


def state_of(client: TrackingClient, experiment_name: str) -> dict[str, Any]:
    """Of an experiment, and of the registered models that its runs made."""
    experiment = client.get_experiment_by_name(experiment_name)
    assert experiment is not None, experiment_name
    where = [experiment.experiment_id]
    runs = client.search_runs(where, run_view_type=ViewType.ALL, order_by=["attributes.start_time ASC"])
    models = client.search_logged_models(where)
    names = {run.info.run_id: _name(run) for run in runs} | {model.model_id: model.name for model in models}
    versions = [each for each in client.search_model_versions() if each.run_id in names]
    found = {
        "tags": dict(experiment.tags),
        "runs": sorted((_run(client, run, names) for run in runs), key=_text),
        "models": sorted((_model(client, model, names) for model in models), key=_text),
        "versions": sorted(
            (
                {
                    "version": f"{each.name}/{each.version}",
                    "run": names[each.run_id],
                    "stage": each.current_stage,
                    "description": each.description,
                    "tags": dict(each.tags),
                    "status": each.status,
                }
                for each in versions
            ),
            key=_text,
        ),
        "registered": [
            {"name": each.name, "description": each.description, "tags": dict(each.tags), "aliases": dict(each.aliases)}
            for each in map(client.get_registered_model, sorted({each.name for each in versions}))
        ],
    }
    plain: dict[str, Any] = json.loads(json.dumps(found))
    return plain


def _run(client: TrackingClient, run: TrackedRun, names: dict[str, str]) -> dict[str, Any]:
    run_id = run.info.run_id
    return {
        "name": names[run_id],
        "status": run.info.status,
        "stage": run.info.lifecycle_stage,
        "params": dict(run.data.params),
        "metrics": {
            key: sorted({(_rounded(point.value), point.step) for point in client.get_metric_history(run_id, key)})
            for key in run.data.metrics
            if not key.endswith("_time")
        },
        "tags": _tags(run.data.tags, names),
        "inputs": sorted(
            (
                {
                    **{name: text for name, text in each.dataset.to_dict().items() if name != "source"},
                    "source": each.dataset.source if each.dataset.source_type != "code" else "",
                    "tags": dict(each.tags),
                }
                for each in run.inputs.dataset_inputs
            ),
            key=_text,
        ),
        "outputs": [[names[each.model_id], each.step] for each in run.outputs.model_outputs],
        "files": sorted(_UUID.sub("UUID", path) for path in _files(client, f"runs:/{run_id}", "")),
    }


def _model(client: TrackingClient, model: TrackedModel, names: dict[str, str]) -> dict[str, Any]:
    return {
        "name": model.name,
        "run": names[model.source_run_id],
        "status": model.status,
        "params": dict(model.params),
        "metrics": sorted([point.key, _rounded(point.value), point.step] for point in model.metrics),
        "has a manifest": "MLmodel" in _files(client, model.model_uri, ""),
    }


def _files(client: TrackingClient, uri: str, path: str) -> list[str]:
    found = []
    with client._at():
        listed = list_artifacts(uri, artifact_path=path or None)
    for each in listed:
        found += _files(client, uri, each.path) if each.is_dir else [each.path]
    return found


def _name(run: TrackedRun) -> str:
    """A name that nobody gave is a random one of the server's."""
    return "unnamed" if _RANDOM_NAME.fullmatch(run.info.run_name) else run.info.run_name


def _tags(tags: Any, names: dict[str, str]) -> dict[str, str]:
    kept = {key: text for key, text in tags.items() if not key.startswith(_OF_THE_PLACE)}
    if _RANDOM_NAME.fullmatch(kept["mlflow.runName"]):
        kept["mlflow.runName"] = "unnamed"
    if "mlflow.parentRunId" in kept:
        kept["mlflow.parentRunId"] = names[kept["mlflow.parentRunId"]]
    if "mlflow.loggedArtifacts" in kept:
        kept["mlflow.loggedArtifacts"] = json.loads(kept["mlflow.loggedArtifacts"])
    return kept


def _rounded(value: float) -> float | str:
    return str(value) if math.isnan(value) else float(f"{value:.9g}")


def _text(found: Any) -> str:
    return json.dumps(found, sort_keys=True)
