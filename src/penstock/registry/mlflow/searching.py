"""Searches that the MLflow server does, a page at a time. Its page tokens are wrapped: most servers give an offset,
which they would take with any query."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from penstock.errors import RegistryRefused, SearchInvalid
from penstock.mlflow_api.client import MlflowRestClient
from penstock.mlflow_api.search.entities import MODEL_VERSIONS, REGISTERED_MODELS, SearchEntity
from penstock.mlflow_api.search.page_token import decode, encode, fingerprint
from penstock.mlflow_api.search.paging import Page, check_limit
from penstock.registry.entries import ModelQuery, ModelVersion, RegisteredModel, VersionQuery
from penstock.registry.mlflow.answers import aliases_and_stages, model_version, registered_model
from penstock.registry.mlflow.asking import MlflowEntries


class MlflowSearches:
    """All raise SearchInvalid in the server's words, and TrackingInvalid for a limit that is out of bounds."""

    def __init__(self, server: MlflowRestClient, entries: MlflowEntries) -> None:
        self._server = server
        self._entries = entries

    def models(self, query: ModelQuery) -> Page[RegisteredModel]:
        """A page of models says no more than the latest version of each stage: how many there are is asked for."""
        found, token = self._page(REGISTERED_MODELS, "registered-models/search", "registered_models", query)
        with self._entries.expected():
            numbers = self._numbers([str(model["name"]) for model in found])
            items = tuple(registered_model(model, numbers.get(str(model["name"]), [])) for model in found)
        return Page(items, token)

    def versions(self, query: VersionQuery) -> Page[ModelVersion]:
        """A page of versions does not tell their aliases: the models are asked for theirs."""
        found, token = self._page(MODEL_VERSIONS, "model-versions/search", "model_versions", query)
        with self._entries.expected():
            aliases = self._aliases({str(version["name"]) for version in found})
            items = tuple(model_version(version, aliases.get(str(version["name"]), {})) for version in found)
        return Page(items, token)

    def _page(
        self, entity: SearchEntity, path: str, key: str, query: ModelQuery | VersionQuery
    ) -> tuple[list[Mapping[str, Any]], str]:
        check_limit(entity, query)
        mark = fingerprint(query.filter, query.order_by)
        fields: dict[str, Any] = {"max_results": query.limit}
        if query.filter:
            fields["filter"] = query.filter
        if query.order_by:
            fields["order_by"] = list(query.order_by)
        if query.page_token:
            (fields["page_token"],) = decode(query.page_token, entity.name, mark, ("text",))
        try:
            answer = self._server.get(path, **fields)
        except RegistryRefused as error:
            raise SearchInvalid(error.message) from None
        with self._entries.expected():
            token = str(answer.get("next_page_token") or "")
            return list(answer.get(key, ())), encode(entity.name, mark, [token]) if token else ""

    def _numbers(self, names: list[str]) -> dict[str, list[int]]:
        """Of each model the numbers of its versions. One model is asked for alone; for several, all are gone through,
        since a list of names is no filter to older servers."""
        if not names:
            return {}
        listing: Iterable[Mapping[str, Any]]
        if len(names) == 1:
            listing = self._entries.versions_of(names[0])
        else:
            listing = self._entries.pages("model-versions/search", "model_versions")
        numbers: dict[str, list[int]] = {}
        for version in listing:
            numbers.setdefault(str(version["name"]), []).append(int(version["version"]))
        return numbers

    def _aliases(self, names: set[str]) -> dict[str, dict[str, str]]:
        if not names:
            return {}
        if len(names) == 1:
            models: Iterable[Mapping[str, Any]] = [self._entries.model(name) for name in names]
        else:
            models = self._entries.pages("registered-models/search", "registered_models")
        return {str(model["name"]): aliases_and_stages(model) for model in models}

    def __repr__(self) -> str:
        return f"<MlflowSearches at {self._server.place}>"
