"""Questions to an MLflow server about models and versions: what it says, as it says it, and how it says no."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from penstock.errors import ModelNotFound, RegistryError, RegistryNotFound, RegistryRefused, RegistryUnavailable, remedy
from penstock.mlflow_api.client import LISTING_LIMIT, MlflowRestClient
from penstock.registry.mlflow.answers import aliases_and_stages
from penstock.registry.refusals import no_alias, no_version

# What the server's database holds as a version; anything else is not asked for.
_NUMBER = re.compile(r"[1-9][0-9]{0,8}")

_PAGE = 1000

# What all pages of a listing may have and take, together.
_MAX_ENTRIES = 200_000
_MAX_PAGES = 1000
_LISTING_SECONDS = 60.0


class MlflowEntries:
    """Models and versions as the server describes them. Whoever takes them apart does so within `expected`."""

    def __init__(self, server: MlflowRestClient, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._server = server
        self._monotonic = monotonic

    def model(self, name: str) -> Mapping[str, Any]:
        """Raises ModelNotFound."""
        if name and not set(name) & set("/:"):
            try:
                model = self._server.get("registered-models/get", name=name).get("registered_model")
            except RegistryRefused:
                pass
            else:
                if isinstance(model, dict) and "creation_timestamp" in model:
                    return model
                raise self.odd()
        raise ModelNotFound(
            f"There is no model {name!r} in this registry.",
            hint="List the models of the registry.",
            remedy=remedy("list_models"),
        )

    def version(self, name: str, version: str) -> Mapping[str, Any]:
        """Raises VersionNotFound."""
        if not _NUMBER.fullmatch(version):
            raise no_version(name, version)
        try:
            answer = self._server.get("model-versions/get", name=name, version=version)
        except RegistryRefused:
            raise no_version(name, version) from None
        with self.expected():
            return answer["model_version"]  # type: ignore[no-any-return]

    def named(self, name: str, alias: str) -> Mapping[str, Any]:
        """The version that an alias names, or that is the latest of a stage. Raises AliasNotFound, ModelNotFound."""
        try:
            answer = self._server.get("registered-models/alias", name=name, alias=alias)
        except (RegistryRefused, RegistryNotFound):  # before MLflow 2.3 there were no aliases
            return self._by_stage(name, alias)
        with self.expected():
            return answer["model_version"]  # type: ignore[no-any-return]

    def versions_of(self, name: str) -> Iterator[Mapping[str, Any]]:
        quote = '"' if "'" in name else "'"
        return self.pages("model-versions/search", "model_versions", filter=f"name={quote}{name}{quote}")

    def _by_stage(self, name: str, alias: str) -> Mapping[str, Any]:
        with self.expected():
            model = self.model(name)
            aliases = aliases_and_stages(model)
            if alias not in aliases:
                raise no_alias(name, alias, aliases)
            return self.of_latest(model, aliases[alias])

    def of_latest(self, model: Mapping[str, Any], number: str) -> Mapping[str, Any]:
        """A version's data, from the model's own description where it is one of the latest of their stages."""
        for data in model.get("latest_versions", ()):
            if str(data.get("version")) == number:
                return data  # type: ignore[no-any-return]
        return self.version(str(model["name"]), number)

    def pages(self, path: str, key: str, **fields: str) -> Iterator[Mapping[str, Any]]:
        """The entries of a listing. Raises RegistryUnavailable for one without an end."""
        ends = self._monotonic() + _LISTING_SECONDS
        entries, received, tokens = 0, 0, list[str]()
        while True:
            answer, size = self._server.get_sized(path, max_results=_PAGE, **fields)
            found = answer.get(key, ())
            yield from found
            token = str(answer.get("next_page_token") or "")
            if not token or token == fields.get("page_token"):
                return
            entries, received = entries + len(found), received + size
            tokens.append(token)
            too_much = entries > _MAX_ENTRIES or received > LISTING_LIMIT or len(tokens) > _MAX_PAGES
            if too_much or token in tokens[:-1] or self._monotonic() > ends:
                raise RegistryUnavailable(
                    f"{self._server.place} lists models without an end: {entries:,} came, and there is always more."
                )
            fields["page_token"] = token

    @contextmanager
    def expected(self) -> Iterator[None]:
        """Answers are taken apart here: one of another form is the server's fault, whatever it raises."""
        try:
            yield
        except RegistryError:
            raise
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
            raise self.odd() from None

    def odd(self) -> RegistryUnavailable:
        return RegistryUnavailable(f"{self._server.place} describes a model in a format that is not MLflow's.")

    def __repr__(self) -> str:
        return f"<MlflowEntries {self._server.place}>"
