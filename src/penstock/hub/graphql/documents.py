"""Runs and experiments as MLflow's GraphQL schema has them: names in camel case, 64-bit numbers as texts, NaN as null.

Source: MLflow 3.18, `server/graphql/`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from penstock.tracking.experiments import Experiment
from penstock.tracking.metrics import Points
from penstock.tracking.runs import Run

Document = dict[str, Any]


def experiment_document(experiment: Experiment) -> Document:
    return {
        "__typename": "MlflowExperiment",
        "experimentId": experiment.experiment_id,
        "name": experiment.name,
        "artifactLocation": experiment.artifact_location,
        "lifecycleStage": experiment.lifecycle,
        "creationTime": str(experiment.creation_time),
        "lastUpdateTime": str(experiment.last_update_time),
        "tags": _pairs("MlflowExperimentTag", experiment.tags),
    }


def run_document(run: Run, experiment: Experiment, versions: Iterable[Document]) -> Document:
    """`versions` are the registered versions that came from the run."""
    return {
        "__typename": "MlflowRunExtension",
        "info": _info(run),
        "experiment": experiment_document(experiment),
        "modelVersions": list(versions),
        "data": {
            "__typename": "MlflowRunData",
            "metrics": [_point(m.key, m.step, m.timestamp, m.value) for m in run.metrics],
            "params": _pairs("MlflowParam", run.params),
            "tags": _pairs("MlflowRunTag", run.tags),
        },
        "inputs": _inputs(run),
        "outputs": {
            "__typename": "MlflowRunOutputs",
            "modelOutputs": [
                {"__typename": "MlflowModelOutput", "modelId": model.model_id, "step": str(model.step)}
                for model in run.model_outputs
            ],
        },
    }


def points_document(found: Sequence[tuple[str, Points]], key: str) -> list[Document]:
    return [
        {
            **_point(key, point.step, point.timestamp, point.value),
            "__typename": "MlflowMetricWithRunId",
            "runId": run_id,
        }
        for run_id, points in found
        for point in points
    ]


def _info(run: Run) -> Document:
    return {
        "__typename": "MlflowRunInfo",
        "runName": run.name,
        "status": run.status,
        "runUuid": run.run_id,
        "runId": run.run_id,
        "experimentId": run.experiment_id,
        "artifactUri": run.artifact_uri,
        "startTime": str(run.start_time),
        "endTime": None if run.end_time is None else str(run.end_time),
        "lifecycleStage": run.lifecycle,
        "userId": run.user_id,
    }


def _inputs(run: Run) -> Document:
    datasets = [
        {
            "__typename": "MlflowDatasetInput",
            "dataset": {
                "__typename": "MlflowDataset",
                "name": given.dataset.name,
                "digest": given.dataset.digest,
                "sourceType": given.dataset.source_type,
                "source": given.dataset.source,
                "schema": given.dataset.schema,
                "profile": given.dataset.profile,
            },
            "tags": _pairs("MlflowInputTag", given.tags),
        }
        for given in run.datasets
    ]
    models = [{"__typename": "MlflowModelInput", "modelId": model.model_id} for model in run.model_inputs]
    return {"__typename": "MlflowRunInputs", "datasetInputs": datasets, "modelInputs": models}


def _point(key: str, step: int, timestamp: int, value: float) -> Document:
    return {
        "__typename": "MlflowMetricExtension",
        "key": key,
        "value": None if math.isnan(value) else value,
        "step": str(step),
        "timestamp": str(timestamp),
    }


def _pairs(kind: str, texts: Mapping[str, str]) -> list[Document]:
    return [{"__typename": kind, "key": key, "value": value} for key, value in texts.items()]
