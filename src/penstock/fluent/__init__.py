"""The fluent client: `start_run`, `log_metric` and the rest, with MLflow's names and meaning.

Its public face is `penstock.tracking`. It is of the standard library alone and runs on Python 3.9 and newer, so that
the environment of any project can hold it; what more a call needs is imported when it is made.
"""

import os

from penstock.fluent import data
from penstock.fluent.artifacts import get_artifact_uri, log_artifact, log_artifacts, log_dict, log_figure, log_text
from penstock.fluent.autologging.patching import autolog
from penstock.fluent.client.tracking_client import TrackingClient
from penstock.fluent.data.inputs import log_input, log_inputs
from penstock.fluent.experiments import (
    ViewType,
    create_experiment,
    delete_experiment,
    get_experiment,
    get_experiment_by_name,
    restore_experiment,
    search_experiments,
    set_experiment,
    set_experiment_tag,
    set_experiment_tags,
)
from penstock.fluent.files.downloads import download_artifacts, list_artifacts, load_dict, load_text
from penstock.fluent.files.images import log_image
from penstock.fluent.files.tables import load_table, log_table
from penstock.fluent.logged import (
    RunOperations,
    delete_tag,
    flush_async_logging,
    log_metric,
    log_metrics,
    log_param,
    log_params,
    set_tag,
    set_tags,
)
from penstock.fluent.models.logged_models import (
    TrackedModel,
    delete_logged_model,
    delete_logged_model_tag,
    get_logged_model,
    search_logged_models,
    set_logged_model_tags,
)
from penstock.fluent.models.packaging import ModelInfo, log_model
from penstock.fluent.models.registering import RegisteredVersion, TrackedRegistration, register_model
from penstock.fluent.reading import (
    delete_run,
    get_metric_history,
    get_parent_run,
    get_run,
    last_active_run,
    restore_run,
    search_runs,
)
from penstock.fluent.run_dataset import RunDataset
from penstock.fluent.runs import ActiveRun, active_run, end_run, start_run
from penstock.fluent.session import current_session
from penstock.fluent.settings import uri_of
from penstock.fluent.spool import SpoolReport, sync_spool
from penstock.fluent.views import FileInfo, MetricPoint, RunData, RunInfo, TrackedExperiment, TrackedRun

__all__ = [
    "ActiveRun",
    "FileInfo",
    "MetricPoint",
    "ModelInfo",
    "RegisteredVersion",
    "RunData",
    "RunDataset",
    "RunInfo",
    "RunOperations",
    "SpoolReport",
    "TrackedExperiment",
    "TrackedModel",
    "TrackedRegistration",
    "TrackedRun",
    "TrackingClient",
    "ViewType",
    "active_run",
    "autolog",
    "create_experiment",
    "data",
    "delete_experiment",
    "delete_logged_model",
    "delete_logged_model_tag",
    "delete_run",
    "delete_tag",
    "download_artifacts",
    "end_run",
    "flush_async_logging",
    "get_artifact_uri",
    "get_experiment",
    "get_experiment_by_name",
    "get_logged_model",
    "get_metric_history",
    "get_parent_run",
    "get_run",
    "get_tracking_uri",
    "last_active_run",
    "list_artifacts",
    "load_dict",
    "load_table",
    "load_text",
    "log_artifact",
    "log_artifacts",
    "log_dict",
    "log_figure",
    "log_image",
    "log_input",
    "log_inputs",
    "log_metric",
    "log_metrics",
    "log_model",
    "log_param",
    "log_params",
    "log_table",
    "log_text",
    "register_model",
    "restore_experiment",
    "restore_run",
    "search_experiments",
    "search_logged_models",
    "search_runs",
    "set_experiment",
    "set_experiment_tag",
    "set_experiment_tags",
    "set_logged_model_tags",
    "set_tag",
    "set_tags",
    "set_tracking_uri",
    "start_run",
    "sync_spool",
]


def set_tracking_uri(uri: str) -> None:
    """Where later runs go: the address of a hub or of an MLflow server. It wins over PENSTOCK_TRACKING_URI and
    MLFLOW_TRACKING_URI. Or a directory, or the URL of a database: an embedded store, made when it is first written to.
    Raises ConfigError for an address without its scheme."""
    current_session().set_uri(str(uri))


def get_tracking_uri() -> str:
    """Where runs go now."""
    return uri_of(os.environ, current_session().uri)
