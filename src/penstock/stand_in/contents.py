"""Which names of MLflow's are offered, and by what of ours. Submodules are packages of their own to `import`."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from penstock import fluent
from penstock.errors import TrackingError, TrackingRefused
from penstock.stand_in import entities, flavors

# The same name and meaning in both.
_SAME = (
    "ActiveRun", "active_run", "create_experiment", "delete_experiment", "delete_logged_model",
    "delete_logged_model_tag", "delete_run", "delete_tag", "end_run", "flush_async_logging", "get_artifact_uri",
    "get_experiment", "get_experiment_by_name", "get_logged_model", "get_parent_run", "get_run", "get_tracking_uri",
    "last_active_run", "load_table", "log_artifact", "log_artifacts", "log_dict", "log_figure", "log_image",
    "log_input", "log_inputs", "log_metric", "log_metrics", "log_param", "log_params", "log_table", "log_text",
    "register_model", "restore_experiment", "search_experiments", "search_logged_models", "search_runs",
    "set_experiment", "set_experiment_tag", "set_experiment_tags", "set_logged_model_tags", "set_tag", "set_tags",
    "set_tracking_uri", "start_run",
)  # fmt: skip

# Of which MLflow 3.18 is meant: programs compare it.
_VERSION = "3.18.0+penstock"

_TAGS = {
    "MLFLOW_DATASET_CONTEXT": "mlflow.data.context",
    "MLFLOW_LOGGED_ARTIFACTS": "mlflow.loggedArtifacts",
    "MLFLOW_PARENT_RUN_ID": "mlflow.parentRunId",
    "MLFLOW_RUN_NAME": "mlflow.runName",
    "MLFLOW_RUN_NOTE": "mlflow.note.content",
    "MLFLOW_SOURCE_NAME": "mlflow.source.name",
    "MLFLOW_SOURCE_TYPE": "mlflow.source.type",
    "MLFLOW_USER": "mlflow.user",
}


@lru_cache(maxsize=1)
def contents() -> Mapping[str, Mapping[str, Any]]:
    """Module -> its names."""
    same = {name: getattr(fluent, name) for name in _SAME}
    client = {"MlflowClient": fluent.TrackingClient}
    errors = {"MlflowException": TrackingError, "RestException": TrackingRefused}
    signatures = {"infer_signature": flavors.infer_signature, "ModelSignature": flavors.ModelSignature}
    registry_uri = {"set_registry_uri": flavors.set_registry_uri, "get_registry_uri": fluent.get_tracking_uri}
    top = {**same, **client, **registry_uri, "autolog": flavors.autolog, "MlflowException": TrackingError}
    return {
        "mlflow": {**top, "__version__": _VERSION},
        "mlflow.artifacts": {
            name: getattr(fluent, name) for name in ("download_artifacts", "list_artifacts", "load_text", "load_dict")
        },
        "mlflow.client": client,
        "mlflow.data": {"from_pandas": fluent.data.from_pandas, "from_numpy": fluent.data.from_numpy},
        "mlflow.data.numpy_dataset": {"from_numpy": fluent.data.from_numpy},
        "mlflow.data.pandas_dataset": {"from_pandas": fluent.data.from_pandas},
        "mlflow.entities": entities.ENTITIES,
        "mlflow.entities.model_registry": entities.OF_THE_REGISTRY,
        "mlflow.exceptions": errors,
        "mlflow.models": signatures,
        "mlflow.models.signature": signatures,
        "mlflow.onnx": {"log_model": flavors.log_onnx, "save_model": flavors.save_onnx},
        "mlflow.pyfunc": {"load_model": flavors.load_model},
        "mlflow.sklearn": {
            "autolog": flavors.autolog_sklearn,
            "load_model": flavors.load_sklearn,
            "log_model": flavors.log_sklearn,
            "save_model": flavors.save_sklearn,
        },
        "mlflow.tracking": {**client, "get_tracking_uri": fluent.get_tracking_uri, **registry_uri,
                            "set_tracking_uri": fluent.set_tracking_uri},
        "mlflow.tracking.client": client,
        "mlflow.utils": {},
        "mlflow.utils.mlflow_tags": _TAGS,
        "mlflow.version": {"VERSION": _VERSION},
    }  # fmt: skip
