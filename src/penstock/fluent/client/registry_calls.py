"""Calls about registered models, their versions, aliases and tags, in the names of MLflow's client."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from penstock.fluent.client.place import ClientPlace, PageOf
from penstock.fluent.models.registering import RegisteredVersion, TrackedRegistration


class RegistryCalls(ClientPlace):
    """The registry is the tracking server's own."""

    # -- models -------------------------------------------------------------------------------------------------------

    def create_registered_model(
        self, name: str, tags: Mapping[str, Any] | None = None, description: str | None = None
    ) -> TrackedRegistration:
        fields = {"name": name, "tags": _pairs(tags), **({"description": description} if description else {})}
        return TrackedRegistration.of_json(self._post("registered-models/create", fields)["registered_model"])

    def get_registered_model(self, name: str) -> TrackedRegistration:
        found = self._get("registered-models/get", {"name": name})
        return TrackedRegistration.of_json(found["registered_model"])

    def search_registered_models(
        self,
        filter_string: str | None = None,
        max_results: int = 100,
        order_by: Sequence[str] | None = None,
        page_token: str | None = None,
    ) -> PageOf[TrackedRegistration]:
        answer = self._get("registered-models/search", _search(filter_string, max_results, order_by, page_token))
        found = PageOf(TrackedRegistration.of_json(each) for each in answer.get("registered_models", []))
        found.token = answer.get("next_page_token") or None
        return found

    def rename_registered_model(self, name: str, new_name: str) -> TrackedRegistration:
        found = self._post("registered-models/rename", {"name": name, "new_name": new_name})
        return TrackedRegistration.of_json(found["registered_model"])

    def update_registered_model(self, name: str, description: str | None = None) -> TrackedRegistration:
        found = self._send("PATCH", "registered-models/update", {"name": name, "description": description or ""})
        return TrackedRegistration.of_json(found["registered_model"])

    def delete_registered_model(self, name: str) -> None:
        self._send("DELETE", "registered-models/delete", {"name": name})

    def set_registered_model_tag(self, name: str, key: str, value: Any) -> None:
        self._post("registered-models/set-tag", {"name": name, "key": key, "value": str(value)})

    def delete_registered_model_tag(self, name: str, key: str) -> None:
        self._send("DELETE", "registered-models/delete-tag", {"name": name, "key": key})

    # -- aliases ------------------------------------------------------------------------------------------------------

    def set_registered_model_alias(self, name: str, alias: str, version: str) -> None:
        self._post("registered-models/alias", {"name": name, "alias": alias, "version": str(version)})

    def delete_registered_model_alias(self, name: str, alias: str) -> None:
        self._send("DELETE", "registered-models/alias", {"name": name, "alias": alias})

    def get_model_version_by_alias(self, name: str, alias: str) -> RegisteredVersion:
        return _version(self._get("registered-models/alias", {"name": name, "alias": alias}))

    # -- versions -----------------------------------------------------------------------------------------------------

    def create_model_version(
        self,
        name: str,
        source: str,
        run_id: str | None = None,
        tags: Mapping[str, Any] | None = None,
        run_link: str | None = None,
        description: str | None = None,
        await_creation_for: int | None = None,
        model_id: str | None = None,
    ) -> RegisteredVersion:
        """Of files that the server can reach, as those of a run. `await_creation_for` is taken for MLflow's sake."""
        more = {"run_id": run_id, "run_link": run_link, "description": description, "model_id": model_id}
        told = {key: value for key, value in more.items() if value}
        return _version(
            self._post("model-versions/create", {"name": name, "source": source, "tags": _pairs(tags), **told})
        )

    def get_model_version(self, name: str, version: str) -> RegisteredVersion:
        return _version(self._get("model-versions/get", _named(name, version)))

    def get_latest_versions(self, name: str, stages: Sequence[str] | None = None) -> list[RegisteredVersion]:
        """The last one of each stage."""
        found = self._post("registered-models/get-latest-versions", {"name": name, "stages": list(stages or ())})
        return [RegisteredVersion.of_json(each) for each in found.get("model_versions", [])]

    def search_model_versions(
        self,
        filter_string: str | None = None,
        max_results: int = 10_000,
        order_by: Sequence[str] | None = None,
        page_token: str | None = None,
    ) -> PageOf[RegisteredVersion]:
        answer = self._get("model-versions/search", _search(filter_string, max_results, order_by, page_token))
        found = PageOf(RegisteredVersion.of_json(each) for each in answer.get("model_versions", []))
        found.token = answer.get("next_page_token") or None
        return found

    def update_model_version(self, name: str, version: str, description: str | None = None) -> RegisteredVersion:
        return _version(
            self._send("PATCH", "model-versions/update", {**_named(name, version), "description": description or ""})
        )

    def transition_model_version_stage(
        self, name: str, version: str, stage: str, archive_existing_versions: bool = False
    ) -> RegisteredVersion:
        fields = {**_named(name, version), "stage": stage, "archive_existing_versions": archive_existing_versions}
        return _version(self._post("model-versions/transition-stage", fields))

    def delete_model_version(self, name: str, version: str) -> None:
        self._send("DELETE", "model-versions/delete", _named(name, version))

    def get_model_version_download_uri(self, name: str, version: str) -> str:
        return str(self._get("model-versions/get-download-uri", _named(name, version))["artifact_uri"])

    def set_model_version_tag(self, name: str, version: str, key: str, value: Any) -> None:
        self._post("model-versions/set-tag", {**_named(name, version), "key": key, "value": str(value)})

    def delete_model_version_tag(self, name: str, version: str, key: str) -> None:
        self._send("DELETE", "model-versions/delete-tag", {**_named(name, version), "key": key})


def _version(answer: Mapping[str, Any]) -> RegisteredVersion:
    return RegisteredVersion.of_json(answer["model_version"])


def _named(name: str, version: str) -> dict[str, str]:
    return {"name": name, "version": str(version)}


def _pairs(tags: Mapping[str, Any] | None) -> list[dict[str, str]]:
    return [{"key": key, "value": str(value)} for key, value in (tags or {}).items()]


def _search(
    filter_string: str | None, max_results: int, order_by: Sequence[str] | None, page_token: str | None
) -> dict[str, Any]:
    told = {"filter": filter_string, "order_by": list(order_by or ()), "page_token": page_token}
    return {"max_results": max_results, **{key: value for key, value in told.items() if value}}
