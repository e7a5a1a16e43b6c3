"""The client object, which MLflow calls MlflowClient."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from penstock.fluent.client.registry_calls import RegistryCalls
from penstock.fluent.client.run_calls import RunCalls
from penstock.fluent.models import logged_models
from penstock.fluent.models.logged_models import TrackedModel


class TrackingClient(RunCalls, RegistryCalls):
    """For a place, or for where the fluent functions log to at the time of a call. Experiments, runs, files, models and
    their versions are named in each call, with the names that MLflow's client has for them. The registry is the
    tracking server's own: `registry_uri` is taken for MLflow's sake."""

    def __init__(self, tracking_uri: str | None = None, registry_uri: str | None = None) -> None:
        super().__init__(str(tracking_uri or ""))

    @property
    def tracking_uri(self) -> str:
        """Where its calls go."""
        return self._here().settings.uri

    def get_logged_model(self, model_id: str) -> TrackedModel:
        with self._at():
            return logged_models.get_logged_model(model_id)

    def search_logged_models(
        self,
        experiment_ids: Sequence[str],
        filter_string: str | None = None,
        datasets: Sequence[Mapping[str, str]] | None = None,
        max_results: int | None = None,
        order_by: Sequence[Mapping[str, Any]] | None = None,
    ) -> list[TrackedModel]:
        with self._at():
            return logged_models.search_logged_models(experiment_ids, filter_string, datasets, max_results, order_by)

    def set_logged_model_tags(self, model_id: str, tags: Mapping[str, Any]) -> None:
        with self._at():
            logged_models.set_logged_model_tags(model_id, tags)

    def delete_logged_model_tag(self, model_id: str, key: str) -> None:
        with self._at():
            logged_models.delete_logged_model_tag(model_id, key)

    def delete_logged_model(self, model_id: str) -> None:
        with self._at():
            logged_models.delete_logged_model(model_id)
