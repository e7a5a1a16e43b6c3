"""Calls about runs and experiments. What is logged goes the way of the fluent functions, and waits for no server."""

from __future__ import annotations

import os
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from penstock.fluent import artifacts, experiments, logged, reading
from penstock.fluent.client.place import ClientPlace, PageOf
from penstock.fluent.data import inputs
from penstock.fluent.experiments import ViewType
from penstock.fluent.files import downloads, images, tables
from penstock.fluent.outbox.delivery import create_run
from penstock.fluent.runs import now_ms
from penstock.fluent.views import FileInfo, MetricPoint, TrackedExperiment, TrackedRun

_Path = Any


class RunCalls(ClientPlace):
    """Of MLflow's client, with its names."""

    # -- experiments --------------------------------------------------------------------------------------------------

    def create_experiment(
        self, name: str, artifact_location: str | None = None, tags: Mapping[str, Any] | None = None
    ) -> str:
        with self._at():
            return experiments.create_experiment(name, artifact_location, tags)

    def get_experiment(self, experiment_id: str) -> TrackedExperiment:
        with self._at():
            return experiments.get_experiment(experiment_id)

    def get_experiment_by_name(self, name: str) -> TrackedExperiment | None:
        with self._at():
            return experiments.get_experiment_by_name(name)

    def search_experiments(
        self,
        view_type: int = ViewType.ACTIVE_ONLY,
        max_results: int | None = None,
        filter_string: str | None = None,
        order_by: Sequence[str] | None = None,
    ) -> list[TrackedExperiment]:
        with self._at():
            return experiments.search_experiments(view_type, max_results, filter_string, order_by)

    def rename_experiment(self, experiment_id: str, new_name: str) -> None:
        self._post("experiments/update", {"experiment_id": experiment_id, "new_name": new_name})

    def delete_experiment(self, experiment_id: str) -> None:
        self._post("experiments/delete", {"experiment_id": experiment_id})

    def restore_experiment(self, experiment_id: str) -> None:
        self._post("experiments/restore", {"experiment_id": experiment_id})

    def set_experiment_tag(self, experiment_id: str, key: str, value: Any) -> None:
        fields = {"experiment_id": experiment_id, "key": key, "value": str(value)}
        self._post("experiments/set-experiment-tag", fields)

    # -- runs ---------------------------------------------------------------------------------------------------------

    def create_run(
        self,
        experiment_id: str,
        start_time: int | None = None,
        tags: Mapping[str, Any] | None = None,
        run_name: str | None = None,
    ) -> TrackedRun:
        """It is active nowhere, and ends with `set_terminated`. Raises TrackingUnavailable while nobody answers."""
        given = {key: str(value) for key, value in (tags or {}).items()}
        fields = {
            "experiment_id": experiment_id,
            "user_id": given.get("mlflow.user", "unknown"),
            "start_time": now_ms() if start_time is None else start_time,
            "run_name": run_name or given.get("mlflow.runName", ""),
            "tags": {**given, **({"mlflow.runName": run_name} if run_name else {})},
        }
        return self.get_run(create_run(self._here().transport, uuid.uuid4().hex, fields, is_new=True))

    def get_run(self, run_id: str) -> TrackedRun:
        with self._at():
            return reading.get_run(run_id)

    def get_parent_run(self, run_id: str) -> TrackedRun | None:
        with self._at():
            return reading.get_parent_run(run_id)

    def search_runs(
        self,
        experiment_ids: Sequence[str],
        filter_string: str = "",
        run_view_type: int = ViewType.ACTIVE_ONLY,
        max_results: int = 1000,
        order_by: Sequence[str] | None = None,
        page_token: str | None = None,
    ) -> PageOf[TrackedRun]:
        """One page; `token` of the answer is the `page_token` of the next one."""
        fields = {
            "experiment_ids": list(experiment_ids),
            "filter": filter_string,
            "run_view_type": ViewType.name_of(run_view_type),
            "max_results": max_results,
            "order_by": list(order_by or ()),
            **({"page_token": page_token} if page_token else {}),
        }
        answer = self._post("runs/search", fields)
        found = PageOf(TrackedRun.of_json(each) for each in answer.get("runs", []))
        found.token = answer.get("next_page_token") or None
        return found

    def set_terminated(self, run_id: str, status: str | None = None, end_time: int | None = None) -> None:
        """The run has ended, as FINISHED where nothing else is said."""
        fields = {"status": status or "FINISHED", "end_time": now_ms() if end_time is None else end_time}
        self._here().outbox.put("call", run_id, {"path": "runs/update", "fields": fields})

    def update_run(self, run_id: str, status: str | None = None, name: str | None = None) -> None:
        fields = {**({"status": status} if status else {}), **({"run_name": name} if name else {})}
        self._here().outbox.put("call", run_id, {"path": "runs/update", "fields": fields})

    def delete_run(self, run_id: str) -> None:
        with self._at():
            reading.delete_run(run_id)

    def restore_run(self, run_id: str) -> None:
        with self._at():
            reading.restore_run(run_id)

    # -- what a run logs ----------------------------------------------------------------------------------------------

    def log_metric(
        self,
        run_id: str,
        key: str,
        value: Any,
        timestamp: int | None = None,
        step: int | None = None,
        synchronous: bool | None = None,
        model_id: str | None = None,
    ) -> Any:
        with self._at():
            return logged.log_metric(key, value, step, synchronous, timestamp, run_id, model_id)

    def log_param(self, run_id: str, key: str, value: Any, synchronous: bool | None = None) -> Any:
        with self._at():
            operations = logged.log_params({key: value}, synchronous, run_id)
        return value if operations is None else operations

    def log_batch(
        self,
        run_id: str,
        metrics: Sequence[Any] = (),
        params: Sequence[Any] = (),
        tags: Sequence[Any] = (),
        synchronous: bool | None = None,
    ) -> Any:
        """Points, params and tags with the attributes of MLflow's entities: key, value, timestamp and step."""
        with self._at() as here:
            logged.log_params({each.key: each.value for each in params}, run_id=run_id)
            logged.set_tags({each.key: each.value for each in tags}, run_id=run_id)
            for each in metrics:
                logged.log_metric(each.key, each.value, each.step, timestamp=each.timestamp, run_id=run_id)
            return logged.ended(here.outbox, synchronous)

    def set_tag(self, run_id: str, key: str, value: Any, synchronous: bool | None = None) -> Any:
        with self._at():
            return logged.set_tags({key: value}, synchronous, run_id)

    def delete_tag(self, run_id: str, key: str) -> None:
        self._here().outbox.put("call", run_id, {"path": "runs/delete-tag", "fields": {"key": key}})

    def log_inputs(self, run_id: str, datasets: Sequence[Any] | None = None, models: Any = None) -> None:
        """Datasets, or inputs with a dataset and its tags."""
        given = [(getattr(each, "dataset", each), getattr(each, "tags", None)) for each in datasets or ()]
        with self._at():
            tags = [dict(tags) if isinstance(tags, Mapping) else _by_key(tags or ()) for _, tags in given]
            inputs.log_inputs([dataset for dataset, _ in given], [None] * len(given), tags, models, run_id)

    def get_metric_history(self, run_id: str, key: str) -> list[MetricPoint]:
        with self._at():
            return reading.get_metric_history(run_id, key)

    # -- files --------------------------------------------------------------------------------------------------------

    def log_artifact(self, run_id: str, local_path: _Path, artifact_path: str | None = None) -> None:
        with self._at():
            artifacts.log_artifact(local_path, artifact_path, run_id)

    def log_artifacts(self, run_id: str, local_dir: _Path, artifact_path: str | None = None) -> None:
        with self._at():
            artifacts.log_artifacts(local_dir, artifact_path, run_id)

    def log_text(self, run_id: str, text: str, artifact_file: str) -> None:
        with self._at():
            artifacts.log_text(text, artifact_file, run_id)

    def log_dict(self, run_id: str, dictionary: Mapping[str, Any], artifact_file: str) -> None:
        with self._at():
            artifacts.log_dict(dictionary, artifact_file, run_id)

    def log_figure(self, run_id: str, figure: Any, artifact_file: str, *, save_kwargs: Any = None) -> None:
        with self._at():
            artifacts.log_figure(figure, artifact_file, save_kwargs=save_kwargs, run_id=run_id)

    def log_image(self, run_id: str, image: Any, artifact_file: str | None = None, **series: Any) -> None:
        with self._at():
            images.log_image(image, artifact_file, run_id=run_id, **series)

    def log_table(self, run_id: str, data: Any, artifact_file: str) -> None:
        with self._at():
            tables.log_table(data, artifact_file, run_id)

    def list_artifacts(self, run_id: str, path: str | None = None) -> list[FileInfo]:
        with self._at():
            return downloads.list_artifacts(run_id=run_id, artifact_path=path)

    def download_artifacts(self, run_id: str, path: str, dst_path: str | os.PathLike[str] | None = None) -> str:
        with self._at():
            return downloads.download_artifacts(run_id=run_id, artifact_path=path, dst_path=dst_path)


def _by_key(tags: Sequence[Any]) -> dict[str, Any]:
    return {tag.key: tag.value for tag in tags}
