"""Logging a model: packaged by Penstock, an entity of the server where it has such, else files of the run."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from penstock.errors import DependencyMissing, TrackingRefused, TrackingUnavailable
from penstock.fluent.artifacts import log_artifacts
from penstock.fluent.logged import log_points
from penstock.fluent.models.logged_models import TrackedModel, create_logged_model
from penstock.fluent.models.registering import RegisteredVersion, register_model
from penstock.fluent.reading import get_metric_history, get_run
from penstock.fluent.runs import ActiveRun, run_in_use
from penstock.fluent.session import FLUSH_SECONDS


@dataclass(frozen=True)
class ModelInfo:
    """Where a model was logged; `model_uri` is what `penstock serve`, `register_model` and MLflow take. `model_id` is
    empty where the server has no logged models: then the model is a directory of the run's files."""

    model_uri: str
    run_id: str
    artifact_path: str
    registered_version: RegisteredVersion | None = None
    model_id: str = ""
    signature: Any = None

    @property
    def registered_model_version(self) -> str | None:
        """Its number, under the name that MLflow has for it."""
        return self.registered_version.version if self.registered_version else None


def log_model(
    model: Any,
    name: str = "model",
    *,
    registered_model_name: str | None = None,
    input_example: Any = None,
    params: Mapping[str, Any] | None = None,
    tags: Mapping[str, Any] | None = None,
    model_type: str = "",
    step: int = 0,
    **options: Any,
) -> ModelInfo:
    """Packages a model as `penstock.save_model` does, which takes the `options`, and logs it to the active run.

    A hub, an MLflow server from 3 on and the embedded store keep it as a logged model, `models:/m-…`, with the run's
    params, those given, and the metrics of the run at `step`; what the run logs at that step from now on is a metric of
    the model, too. Elsewhere, and while nobody answers, it is a directory of the run's files, `runs:/RUN_ID/NAME`.
    `registered_model_name` registers it, which waits for delivery. Raises DependencyMissing where the whole of Penstock
    is not installed, and what packaging raises."""
    packaging = _packaging()
    run = run_in_use()
    with tempfile.TemporaryDirectory(prefix="penstock-model-") as directory:
        place = Path(directory, "model")
        package = packaging.save_model(model, place, example=input_example, **options)
        about = {"name": name, "model_type": model_type}
        logged = _created(run, about, {**(params or {}), **run.data.params, **run.logged_params}, tags or {})
        content = {**package.manifest.content, "run_id": run.info.run_id, "artifact_path": name}
        if logged is not None:
            content.update(model_id=logged.model_id, model_uuid=logged.model_id, artifact_path=logged.artifact_location)
        packaging.finish(place, content)
        if logged is not None:
            _log_files(run, logged, place, step)
        else:
            log_artifacts(place, name, run.info.run_id)
    uri = logged.model_uri if logged is not None else f"runs:/{run.info.run_id}/{name}"
    version = register_model(uri, registered_model_name) if registered_model_name else None
    model_id = logged.model_id if logged is not None else ""
    return ModelInfo(uri, run.info.run_id, name, version, model_id, package.manifest.signature)


def _packaging() -> Any:
    try:
        return import_module("penstock.package.save")
    except ImportError as error:
        raise DependencyMissing(
            "Packaging a model needs the whole of Penstock.", hint="pip install penstock"
        ) from error


def _created(
    run: ActiveRun, about: Mapping[str, str], params: Mapping[str, Any], tags: Mapping[str, Any]
) -> TrackedModel | None:
    """None where the server has no logged models, or nobody answers."""
    outbox = run.outbox
    if not outbox.flush(FLUSH_SECONDS, ask_again=False):  # the run itself may have begun while nobody answered
        return None
    try:
        experiment_id = run.info.experiment_id or get_run(run.info.run_id).info.experiment_id
        where = {"experiment_id": experiment_id, "source_run_id": outbox.run_id_of(run.info.run_id)}
        return create_logged_model(run.destination.transport, {**about, **where}, params, tags)
    except TrackingUnavailable:
        return None


def _log_files(run: ActiveRun, model: TrackedModel, place: Path, step: int) -> None:
    """After which it is ready. All of it takes its turn in what the run logs."""
    outbox, run_id = run.outbox, run.info.run_id
    outputs = {"models": [{"model_id": model.model_id, "step": step}]}
    outbox.put("call", run_id, {"path": "runs/outputs", "fields": outputs})
    _link_metrics(run, model.model_id, step)
    for file in sorted(path for path in place.rglob("*") if path.is_file() and "__pycache__" not in path.parts):
        outbox.add_file(
            run_id,
            file.relative_to(place).as_posix(),
            lambda spooled, file=file: spooled.write_bytes(file.read_bytes()),  # type: ignore[misc]
            directory=model.artifact_location,
        )
    ready = {"model_id": model.model_id, "status": "LOGGED_MODEL_READY"}
    outbox.put("call", run_id, {"method": "PATCH", "path": f"logged-models/{model.model_id}", "fields": ready})
    run.models.setdefault(step, []).append(model.model_id)


def _link_metrics(run: ActiveRun, model_id: str, step: int) -> None:
    """What the run has logged at that step is of this model."""
    run_id = run.info.run_id
    if not run.outbox.flush(FLUSH_SECONDS, ask_again=False):
        return
    try:
        keys = get_run(run_id).data.metrics
        points = [point for key in keys for point in get_metric_history(run_id, key) if point.step == step]
    except (TrackingRefused, TrackingUnavailable):
        return
    log_points(run_id, [{**point._asdict(), "model_id": model_id} for point in points])
