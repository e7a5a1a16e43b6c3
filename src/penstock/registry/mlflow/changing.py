"""Changes to models and versions of an MLflow server: what is sent for each, and how the server says no."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress

from penstock.errors import (
    ModelExists,
    ModelNotFound,
    NameInvalid,
    RegistryReadOnly,
    RegistryRefused,
    Unsupported,
    VersionNotFound,
)
from penstock.mlflow_api.client import MlflowRestClient
from penstock.registry.entries import NewVersion, Stage
from penstock.registry.refusals import model_exists

# What the server itself finds. A path is one of this machine.
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*:")

# What MLflow's clients give for a prompt, whose text is in a tag.
_PROMPT_SOURCE = "dummy-source"

_EXISTS = "RESOURCE_ALREADY_EXISTS"


def unregistrable(what: str) -> Unsupported:
    return Unsupported(
        what,
        hint="In Python: mlflow.log_artifacts(DIR, 'model') within a run, then "
        "mlflow.register_model(f'runs:/{run.info.run_id}/model', NAME).",
    )


class MlflowChanges:
    """Every change raises RegistryReadOnly where the registry was opened for reading only."""

    def __init__(self, server: MlflowRestClient, *, read_only: bool) -> None:
        self._server = server
        self._read_only = read_only

    def create_model(self, name: str, description: str, tags: Mapping[str, str]) -> None:
        with self._writing(name, None):
            fields = {"description": description} if description else {}
            self._server.send_once("registered-models/create", name=name, tags=_pairs(tags), **fields)

    def create_version(self, name: str, new: NewVersion) -> str:
        """Its number. The model is made with its first version. Raises Unsupported for a source that only Penstock
        finds."""
        source = new.origin or new.source
        if not _SCHEME.match(source) and source != _PROMPT_SOURCE:
            raise unregistrable(f"An MLflow server takes no package from this machine, as {source!r} is one.")
        fields = {"run_id": new.run_id, "run_link": new.run_link, "description": new.description}
        if new.logged_model:
            fields["model_id"] = new.logged_model
        given = {key: value for key, value in fields.items() if value}
        self._require_writable()
        with suppress(ModelExists), self._writing(name, None):
            self._server.send_once("registered-models/create", name=name)
        made = self._server.send_once("model-versions/create", name=name, source=source, tags=_pairs(new.tags), **given)
        return str(made["model_version"]["version"])

    def describe(self, name: str, version: str | None, description: str) -> None:
        with self._writing(name, version):
            if version is None:
                self._server.send("PATCH", "registered-models/update", name=name, description=description)
            else:
                self._server.send("PATCH", "model-versions/update", name=name, version=version, description=description)

    def set_stage(self, name: str, version: str, stage: Stage, *, archive_existing: bool) -> None:
        fields = {"stage": stage, "archive_existing_versions": archive_existing}
        with self._writing(name, version):
            self._server.send("POST", "model-versions/transition-stage", name=name, version=version, **fields)

    def rename(self, name: str, new_name: str) -> None:
        with self._writing(new_name, None, gone=name):
            self._server.send_once("registered-models/rename", name=name, new_name=new_name)

    def set_alias(self, name: str, alias: str, version: str) -> None:
        with self._writing(name, version):
            self._server.send("POST", "registered-models/alias", name=name, alias=alias, version=version)

    def remove_alias(self, name: str, alias: str) -> None:
        with self._writing(name, None):
            self._server.send("DELETE", "registered-models/alias", name=name, alias=alias)

    def tag(self, name: str, version: str | None, key: str, value: str | None) -> None:
        """`value` None takes the tag away; one that is not there is no error."""
        kind = "registered-models" if version is None else "model-versions"
        fields = {"name": name, "key": key} | ({} if version is None else {"version": version})
        with self._writing(name, version):
            if value is not None:
                self._server.send("POST", f"{kind}/set-tag", **fields, value=value)
                return
            try:
                self._server.send("DELETE", f"{kind}/delete-tag", **fields)
            except RegistryRefused as error:
                if error.status != 404:  # it was not there
                    raise

    def _require_writable(self) -> None:
        if self._read_only:
            raise RegistryReadOnly(f"The registry at {self._server.place} was opened for reading only.")

    @contextmanager
    def _writing(self, name: str, version: str | None, *, gone: str = "") -> Iterator[None]:
        """Raises ModelExists, ModelNotFound, VersionNotFound, and NameInvalid in the server's words."""
        self._require_writable()
        try:
            yield
        except RegistryRefused as error:
            if error.error_code == _EXISTS:
                raise model_exists(name) from None
            if error.status != 404:
                raise NameInvalid(error.message) from None
            if version is None:
                raise ModelNotFound(f"Model {gone or name!r} no longer exists. {error.message}") from None
            raise VersionNotFound(f"{name!r} or its version {version} no longer exists. {error.message}") from None

    def __repr__(self) -> str:
        return f"<MlflowChanges of {self._server.place}>"


def _pairs(tags: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"key": key, "value": value} for key, value in tags.items()]
