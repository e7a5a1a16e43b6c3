"""Models of a run: packaged by Penstock, kept among the run's files, and registered."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from penstock.errors import DependencyMissing, TrackingInvalid, TrackingRefused
from penstock.fluent.artifacts import log_artifacts
from penstock.fluent.reading import get_run
from penstock.fluent.runs import run_in_use
from penstock.fluent.session import FLUSH_SECONDS, current_session

_EXISTS = "RESOURCE_ALREADY_EXISTS"


@dataclass(frozen=True)
class RegisteredVersion:
    """A version of a registered model, as it was registered."""

    name: str
    version: str
    source: str
    run_id: str = ""


@dataclass(frozen=True)
class ModelInfo:
    """Where a model was logged; `model_uri` is what `penstock serve`, `register_model` and MLflow take."""

    model_uri: str
    run_id: str
    artifact_path: str
    registered_version: RegisteredVersion | None = None


def log_model(
    model: Any,
    name: str = "model",
    *,
    registered_model_name: str | None = None,
    input_example: Any = None,
    **options: Any,
) -> ModelInfo:
    """Packages a model as `penstock.save_model` does, which takes the `options`, and logs the package to the active run
    under `name`. Registers it, too, if it is told a name for that, which waits for delivery. Raises DependencyMissing
    where the whole of Penstock is not installed, and what packaging raises."""
    try:
        save = import_module("penstock.package.save").save_model
    except ImportError as error:
        raise DependencyMissing(
            "Packaging a model needs the whole of Penstock.", hint="pip install penstock"
        ) from error
    run_id = run_in_use().info.run_id
    with tempfile.TemporaryDirectory(prefix="penstock-model-") as directory:
        place = Path(directory, "model")
        save(model, place, example=input_example, **options)
        log_artifacts(place, name)
    uri = f"runs:/{run_id}/{name}"
    version = register_model(uri, registered_model_name) if registered_model_name else None
    return ModelInfo(uri, run_id, name, version)


def register_model(model_uri: str, name: str, *, tags: Mapping[str, Any] | None = None) -> RegisteredVersion:
    """Registers what a run logged, `runs:/RUN_ID/PATH`, as the next version of a model, which is made if there is none.
    Raises TrackingInvalid for another URI, TrackingUnavailable while nobody answers, and TrackingRefused."""
    run_id, _, path = model_uri.partition("runs:/")[2].partition("/")
    if not run_id or not path:
        raise TrackingInvalid(f"{model_uri!r} is no model of a run.", hint="It looks like runs:/RUN_ID/model.")
    run = get_run(run_id)  # which waits for delivery of the files
    destination = current_session().destination()
    destination.outbox.flush(FLUSH_SECONDS)
    transport = destination.transport
    try:
        transport.post("registered-models/create", {"name": name})
    except TrackingRefused as error:
        if error.error_code != _EXISTS:
            raise
    source = f"{run.info.artifact_uri.rstrip('/')}/{path}"
    pairs = [{"key": key, "value": str(value)} for key, value in (tags or {}).items()]
    fields = {"name": name, "source": source, "run_id": run.info.run_id, "tags": pairs}
    made = transport.post("model-versions/create", fields)["model_version"]
    return RegisteredVersion(name, str(made["version"]), source, run.info.run_id)
