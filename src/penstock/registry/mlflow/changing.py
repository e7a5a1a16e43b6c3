"""Changes to models and versions of an MLflow server: what is sent for each, and how the server says no."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from penstock.errors import NameInvalid, RegistryReadOnly, RegistryRefused, VersionNotFound
from penstock.mlflow_api.client import MlflowRestClient


class MlflowChanges:
    """Every change raises RegistryReadOnly where the registry was opened for reading only."""

    def __init__(self, server: MlflowRestClient, *, read_only: bool) -> None:
        self._server = server
        self._read_only = read_only

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

    @contextmanager
    def _writing(self, name: str, version: str | None) -> Iterator[None]:
        if self._read_only:
            raise RegistryReadOnly(f"The registry at {self._server.place} was opened for reading only.")
        try:
            yield
        except RegistryRefused as error:
            if error.status == 404:
                raise VersionNotFound(f"{name!r} or its version {version} no longer exists. {error.message}") from None
            raise NameInvalid(error.message) from None

    def __repr__(self) -> str:
        return f"<MlflowChanges of {self._server.place}>"
