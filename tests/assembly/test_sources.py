"""One piece of code makes the sources of one process and of many: it asks the host for nothing but installers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from penstock.artifacts import PackageCache
from penstock.assembly.references import parse_models
from penstock.assembly.sources import SourceContext, make_sources
from penstock.config import ServerSettings, Settings
from penstock.errors import RegistryUnavailable
from penstock.loading import Timed
from penstock.metrics import Metrics
from penstock.publishing import publish
from penstock.registry.interface import Registry
from penstock.registry.memory import MemoryRegistry
from penstock.registry.references import ModelReference
from penstock.serving.swap.preparing import Fetch


@dataclass
class Prepared:
    version: str
    path: Path

    def drop(self) -> None: ...


@dataclass
class FakeInstaller:
    """Installs by remembering; its own swap target, too."""

    name: str
    alias: str
    settings: Settings
    serving: bool = False
    current: str | None = None
    previous: str | None = None
    installed: list[tuple[Prepared, bool]] = field(default_factory=list)
    on_failed: Any = None

    @property
    def target(self) -> Any:
        return self

    @property
    def loads(self) -> Any:
        return self

    async def install(self, fetch: Fetch, *, beside_requests: bool) -> Prepared:
        package = fetch()
        prepared = Prepared(package.version, package.path)
        self.installed.append((prepared, beside_requests))
        return prepared

    @property
    def answering(self) -> str | None:
        return self.current

    def swap(self, prepared: Prepared) -> None:
        self.previous, self.current, self.serving = self.current, prepared.version, True

    def revert(self) -> None: ...

    def retire_previous(self) -> None: ...

    def note_registry(self, said: object) -> None: ...

    def note_failure(self, failure: object) -> None: ...

    def stop(self, *, for_good: bool = False) -> None: ...


class FakeHost:
    def __init__(self) -> None:
        self.installers: dict[str, FakeInstaller] = {}
        self.started_patterns: list[str] = []
        self.reasons: dict[str, str] = {}

    def installer(self, reference: ModelReference, settings: Settings, timed: Timed) -> FakeInstaller:
        made = FakeInstaller(reference.served_as, reference.alias, settings)
        self.installers[reference.served_as] = made
        return made

    def serves(self, name: str) -> bool:
        return name in self.installers

    def pattern_waits(self, pattern: str, because: str) -> None:
        self.reasons[pattern] = because

    def pattern_started(self, pattern: str) -> None:
        self.started_patterns.append(pattern)

    def remove(self, name: str) -> None:
        del self.installers[name]

    def expect(self, models: Sequence[str], patterns: Sequence[str], default: str | None) -> None: ...

    default: str | None = None


@pytest.fixture
def registry(tmp_path: Path, identity_onnx_package: Path) -> Registry:
    made = MemoryRegistry(artifact_root=str(tmp_path / "artifacts"), cache=PackageCache(tmp_path / "cache"))
    for name in ("fraud", "team-a", "team-b"):
        publish(made, name, identity_onnx_package, alias="production", by="a test")
    return made


async def test_each_kind_of_reference_gets_its_source(registry: Registry, identity_onnx_package: Path) -> None:
    own: dict[str, dict[str, Any]] = {"team-a": {"max_rows": 7}}
    models = (f"fixed={identity_onnx_package}", "pinned=models:/fraud/1", "fraud", "models:/team-*@production")
    settings = ServerSettings(models=models, own=own)
    host = FakeHost()
    sources = make_sources(SourceContext(settings, registry, Metrics(process=False)), parse_models(settings), host)
    assert [type(source).__name__ for source in sources] == ["FixedVersion", "FixedVersion", "Follower", "Pattern"]
    for source in sources:
        await source.start()
    assert {name: made.current for name, made in host.installers.items()} == {
        "fixed": "",
        "pinned": "1",
        "fraud": "1",
        "team-a": "1",
        "team-b": "1",
    }
    assert {name: made.settings.max_rows for name, made in host.installers.items()}["team-a"] == 7
    assert host.started_patterns == ["models:/team-*@production"]
    assert not any(beside for made in host.installers.values() for _, beside in made.installed)


async def test_a_load_beside_requests_is_told_so(registry: Registry) -> None:
    settings, host = Settings(models=("fraud",)), FakeHost()
    (source,) = make_sources(SourceContext(settings, registry, Metrics(process=False)), parse_models(settings), host)
    host.installers["fraud"].serving = True
    await source.start()
    assert [beside for _, beside in host.installers["fraud"].installed] == [True]


async def test_followers_share_what_they_know_of_a_registry_that_is_away(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(name: str, alias: str) -> object:
        raise RegistryUnavailable("it is away")

    monkeypatch.setattr(registry, "resolve", away)
    settings, host = Settings(models=("fraud", "models:/team-a@production")), FakeHost()
    context = SourceContext(settings, registry, Metrics(process=False))
    for source in make_sources(context, parse_models(settings), host):
        await source.start()
    assert context.unreachable == {"fraud", "team-a"}


async def test_why_a_pattern_waits_is_told_until_its_registry_answers(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(pattern: str, alias: str) -> object:
        raise RegistryUnavailable("it is away")

    settings, host = Settings(models=("models:/team-*@production",)), FakeHost()
    with monkeypatch.context() as patched:
        patched.setattr(registry, "search", away)
        context = SourceContext(settings, registry, Metrics(process=False))
        (source,) = make_sources(context, parse_models(settings), host)
        await source.start()
        assert host.reasons == {"models:/team-*@production": "registry_unavailable"}
    (source,) = make_sources(context, parse_models(settings), host)
    await source.start()
    assert host.reasons == {"models:/team-*@production": "loading"}
    assert host.started_patterns == ["models:/team-*@production"]
