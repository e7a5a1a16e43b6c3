"""Refuses versions whose signature breaks callers, for registries that do not compare signatures, such as MLflow's."""

from __future__ import annotations

from collections.abc import Callable

from penstock.artifacts import CachedPackage
from penstock.errors import SignatureIncompatible
from penstock.package import PackagedModel
from penstock.registry.interface import ModelVersion
from penstock.signature import Signature, breaking_changes


class SignatureGuard:
    """Fetches versions of one model, and refuses those that would break the callers of the one that answers.

    `fetch` is the registry's; `current` tells which version answers now. A version that has answered here is never
    refused: going back must always be possible. One call at a time.
    """

    def __init__(self, fetch: Callable[[ModelVersion], CachedPackage], current: Callable[[], str | None]) -> None:
        self._fetch = fetch
        self._current = current
        # The whole mutable state: what each version takes and gives, and which have answered.
        self._signatures: dict[str, Signature | None] = {}
        self._answered: set[str] = set()

    def fetch(self, version: ModelVersion) -> CachedPackage:
        """The version's package. Raises SignatureIncompatible, and what the registry's own raises."""
        package = self._fetch(version)
        try:
            self._check(version, PackagedModel.open(package.path).manifest.signature)
        except BaseException:
            package.close()
            raise
        return package

    def _check(self, version: ModelVersion, signature: Signature | None) -> None:
        current = self._current()
        if current is not None:
            self._answered.add(current)
            if version.version not in self._answered:
                self._compare(current, signature)
        self._signatures[version.version] = signature

    def _compare(self, current: str, signature: Signature | None) -> None:
        breaks = breaking_changes(self._signatures.get(current), signature)
        if breaks:
            raise SignatureIncompatible(
                f"The version would break callers of version {current}: {'; '.join(breaks)}.",
                hint="Move the alias back, or allow breaking changes (the setting allow_breaking).",
            )

    def __repr__(self) -> str:
        return f"<SignatureGuard: {', '.join(sorted(self._answered)) or 'nothing'} has answered>"
