"""The registry of a hub from another machine: packages sent and fetched, who may do what, and what is refused how."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from penstock.access.policy import HubRole
from penstock.artifacts import PackageCache
from penstock.assembly.hub import open_tokens
from penstock.cli.remedies import hint_of
from penstock.errors import (
    ArtifactRegistered,
    ModelExists,
    ModelNotFound,
    PackageNotFound,
    PenstockError,
    RegistryDenied,
    RegistryReadOnly,
    RegistryUnavailable,
    SealBroken,
)
from penstock.mlflow_api.client import CallTimeouts, MlflowRestClient
from penstock.mlflow_credentials import MlflowCredentials
from penstock.package import PackagedModel
from penstock.publishing import publish, withdraw
from penstock.registry import NewVersion, Registry, open_registry
from penstock.registry.entries import PackageFacts
from penstock.registry.hub.calls import OWN_API
from penstock.registry.hub.store import HubRegistry
from penstock.registry.resolutions import LastResolution, resolve_or_recall
from penstock.registry.server import ServerRegistry
from registry.hub_server import ListeningHub
from registry.registering import add, columns
from registry.replay import Replay


@pytest.fixture
def url(listening_hub: ListeningHub, tmp_path: Path) -> Iterator[str]:
    with listening_hub.over(tmp_path / "hub") as url:
        yield url


@pytest.fixture
def hub(url: str, tmp_path: Path) -> Iterator[HubRegistry]:
    with closing(client(url, tmp_path / "cache")) as registry:
        yield registry


def client(url: str, cache: Path, token: str = "", *, read_only: bool = False) -> HubRegistry:
    server = MlflowRestClient(url, MlflowCredentials(token=token), CallTimeouts(retries=0))
    return HubRegistry(server, PackageCache(cache), read_only=read_only)


def files_of(place: Path) -> set[str]:
    return {path.relative_to(place).as_posix() for path in place.rglob("*") if path.is_file()}


class TestPackages:
    def test_a_package_is_sent_registered_by_its_digest_and_fetched(
        self, hub: HubRegistry, iris_onnx_package: Path, tmp_path: Path
    ) -> None:
        package = PackagedModel.open(iris_onnx_package)
        version = publish(hub, "iris", iris_onnx_package, alias="production", by="ann", reason="first", tags={"a": "1"})
        assert (version.digest, version.size_bytes, version.aliases) == (
            package.digest,
            package.size_bytes,
            ("production",),
        )
        assert (version.flavors, version.tags) == (("onnx", "python_function"), {"a": "1"})
        assert version.source == f"mlflow-artifacts:/iris/{package.digest}"
        assert files_of(tmp_path / "hub" / "artifacts" / "iris" / package.digest) == files_of(iris_onnx_package)
        with hub.fetch(hub.resolve("iris")) as fetched:
            assert PackagedModel.open(fetched.path).digest == package.digest
            assert str(tmp_path / "cache") in str(fetched.path)

    def test_a_package_that_is_there_is_not_sent_again(
        self, hub: HubRegistry, iris_onnx_package: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        publish(hub, "iris", iris_onnx_package)
        monkeypatch.setattr(MlflowRestClient, "upload_artifact", lambda *_: pytest.fail("it was sent"))
        assert publish(hub, "iris", iris_onnx_package).version == "2"

    def test_a_sending_that_is_cut_off_leaves_no_version_and_is_made_good_by_the_next(
        self, hub: HubRegistry, iris_onnx_package: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        send, sent = MlflowRestClient.upload_artifact, list[str]()

        def breaking(self: MlflowRestClient, url: str, content: BinaryIO, size: int) -> None:
            if len(sent) == 2:
                raise RegistryUnavailable("The line is dead.")
            sent.append(url)
            send(self, url, content, size)

        with monkeypatch.context() as patched:
            patched.setattr(MlflowRestClient, "upload_artifact", breaking)
            with pytest.raises(RegistryUnavailable):
                publish(hub, "iris", iris_onnx_package)
        assert hub.models() == []
        digest = PackagedModel.open(iris_onnx_package).digest
        with pytest.raises((SealBroken, PackageNotFound)):
            hub.register("iris", NewVersion(f"iris/{digest}", digest))
        assert hub.models() == []
        assert publish(hub, "iris", iris_onnx_package).version == "1"

    def test_what_was_not_sent_is_not_registered(self, hub: HubRegistry) -> None:
        digest = "ab" * 32
        with pytest.raises(PackageNotFound, match="no package at"):
            hub.register("iris", NewVersion(f"iris/{digest}", digest))
        assert hub.models() == []

    def test_files_of_a_version_stay_as_they_are(
        self, hub: HubRegistry, iris_onnx_package: Path, tmp_path: Path
    ) -> None:
        publish(hub, "iris", iris_onnx_package)
        digest = PackagedModel.open(iris_onnx_package).digest
        changed = tmp_path / "changed"
        shutil.copytree(iris_onnx_package, changed)
        (changed / "MLmodel").write_text((changed / "MLmodel").read_text() + "\n")
        with pytest.raises(ArtifactRegistered, match="belong to version 1"):
            hub.package_store().put(PackagedModel.open(changed), f"iris/{digest}")

    def test_who_is_second_with_the_same_package_is_done_when_the_first_has_registered_it(
        self, hub: HubRegistry, iris_onnx_package: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        send = MlflowRestClient.upload_artifact
        first = [True]

        def overtaken(self: MlflowRestClient, url: str, content: BinaryIO, size: int) -> None:
            if first.pop() if first else False:
                publish(hub, "iris", iris_onnx_package)
            send(self, url, content, size)

        monkeypatch.setattr(MlflowRestClient, "upload_artifact", overtaken)
        assert publish(hub, "iris", iris_onnx_package).version == "2"

    def test_withdrawing_takes_the_files_of_the_last_version_that_has_them(
        self, hub: HubRegistry, iris_onnx_package: Path, tmp_path: Path
    ) -> None:
        for _ in range(2):
            publish(hub, "iris", iris_onnx_package)
        withdraw(hub, "iris", "1")
        with hub.fetch(hub.version("iris", "2")):
            pass
        withdraw(hub, "iris")
        assert files_of(tmp_path / "hub" / "artifacts") == set()

    def test_a_version_registered_by_mlflow_has_what_its_files_say(
        self, hub: HubRegistry, url: str, iris_onnx_package: Path
    ) -> None:
        server = MlflowRestClient(url)
        run = server.send("POST", "runs/create", experiment_id="0", start_time=1)["run"]["info"]
        package = PackagedModel.open(iris_onnx_package)
        for name in package.hashes:
            target = server.artifact_url(f"{run['artifact_uri']}/model/{name}")
            with (iris_onnx_package / name).open("rb") as file:
                server.upload_artifact(target, file, (iris_onnx_package / name).stat().st_size)
        server.send_once("registered-models/create", name="iris")
        source = f"runs:/{run['run_id']}/model"
        server.send_once("model-versions/create", name="iris", source=source, run_id=run["run_id"])
        server.close()
        version = hub.version("iris", "1")
        assert (version.digest, version.size_bytes) == (package.digest, package.size_bytes)
        assert version.signature is not None
        with hub.fetch(version) as fetched:
            assert PackagedModel.open(fetched.path).digest == package.digest


def test_of_two_who_rename_a_model_or_take_a_name_at_once_one_does_it(hub: HubRegistry) -> None:
    add(hub, count=2)
    add(hub, "churn")
    hub.promote("fraud", "1", by="ann")

    def renamed(name: str, new_name: str) -> str:
        try:
            return hub.rename(name, new_name).name
        except (ModelNotFound, ModelExists) as error:
            return type(error).__name__

    with ThreadPoolExecutor(4) as pool:
        found = sorted(pool.map(lambda name: renamed(name, "theft"), ["fraud", "churn", "fraud", "churn"]))
    assert found.count("theft") == 1
    assert [model.name for model in hub.models()] in (["churn", "theft"], ["fraud", "theft"])
    kept = next(model for model in hub.models() if model.versions == 2)
    assert (kept.aliases, hub.history(kept.name)[0].to_version) == ({"production": "1"}, "1")


REFUSED: list[tuple[str, Callable[[Registry], Any]]] = [
    ("no model", lambda r: r.model("absent")),
    ("no version", lambda r: r.version("fraud", "9")),
    ("no alias", lambda r: r.resolve("fraud", "canary")),
    ("a break", lambda r: r.promote("fraud", "2", by="ann")),
    ("a bad alias", lambda r: r.promote("fraud", "1", "latest", by="ann")),
    ("nothing before", lambda r: r.rollback("fraud", by="ann")),
    ("no alias to remove", lambda r: r.remove_alias("fraud", "canary", by="ann")),
    ("in use", lambda r: r.delete("fraud", "1")),
    ("a name taken", lambda r: r.rename("fraud", "churn")),
    ("a model taken", lambda r: r.create_model("churn")),
    ("a stage of nothing", lambda r: r.set_stage("fraud", "9", "Staging")),
    ("a bad name", lambda r: r.register("a/b", NewVersion("x"))),
]


@pytest.mark.parametrize(("refused", "ask"), REFUSED, ids=[name for name, _ in REFUSED])
def test_a_refusal_comes_with_its_class_its_words_and_its_hint(
    hub: HubRegistry, refused: str, ask: Callable[[Registry], Any]
) -> None:
    told = []
    for registry in (hub, open_registry("memory:", artifacts="/nowhere")):
        registry.register("fraud", NewVersion("x", signature=columns("a")))
        registry.register("fraud", NewVersion("x", signature=columns("a", "b")))
        add(registry, "churn")
        registry.promote("fraud", "1", by="ann")
        with pytest.raises(PenstockError) as caught:
            ask(registry)
        told.append((type(caught.value), caught.value.message, hint_of(caught.value, ["registry", "x"])))
    assert told[0] == told[1]


class TestWhoMayDoWhat:
    @pytest.fixture
    def of_role(self, listening_hub: ListeningHub, tmp_path: Path) -> Iterator[Callable[[HubRole], HubRegistry]]:
        roles: tuple[HubRole, ...] = ("read", "write", "promote", "admin")
        with closing(open_tokens(str(tmp_path / "hub" / "store"))) as table:
            tokens = {role: table.add(f"the-{role}", role) for role in roles}
        with listening_hub.over(tmp_path / "hub") as url:
            made = {role: client(url, tmp_path / "cache", token) for role, token in tokens.items()}
            yield made.__getitem__
            for each in made.values():
                each.close()

    def test_the_tokens_name_is_kept_whoever_the_client_says_it_is(
        self, of_role: Callable[[HubRole], HubRegistry], iris_onnx_package: Path
    ) -> None:
        version = publish(of_role("write"), "iris", iris_onnx_package, by="somebody")
        assert version.registered_by == "the-write"
        of_role("promote").promote("iris", "1", by="somebody", reason="good")
        of_role("write").set_tag("iris", "a", "1", by="somebody")
        moves, changes = of_role("read").history("iris"), of_role("read").changes("iris")
        assert [(move.by, move.reason) for move in moves] == [("the-promote", "good")]
        assert [(change.kind, change.by) for change in changes] == [("register", "the-write"), ("tag", "the-write")]

    def test_a_role_does_no_more_than_it_may(
        self, of_role: Callable[[HubRole], HubRegistry], iris_onnx_package: Path
    ) -> None:
        for ask in (
            lambda: publish(of_role("read"), "iris", iris_onnx_package),
            lambda: of_role("write").promote("iris", "1", by="ann"),
            lambda: of_role("write").rollback("iris", by="ann"),
            lambda: of_role("promote").register("iris", NewVersion("/etc")),
            lambda: of_role("promote").register("iris", NewVersion("0/somebodys-run/model")),
        ):
            with pytest.raises(RegistryDenied, match="needs the role"):
                ask()
        publish(of_role("write"), "iris", iris_onnx_package)
        with pytest.raises(RegistryDenied, match="needs the role admin"):
            of_role("promote").delete("iris", "1")
        assert of_role("read").version("iris", "1").version == "1"


def test_one_opened_for_reading_sends_no_change(url: str, tmp_path: Path, iris_onnx_package: Path) -> None:
    with closing(client(url, tmp_path / "cache", read_only=True)) as registry:
        for ask in (
            lambda: publish(registry, "iris", iris_onnx_package),
            lambda: registry.create_model("iris"),
            lambda: registry.promote("iris", "1", by="ann"),
        ):
            with pytest.raises(RegistryReadOnly):
                ask()
        assert registry.models() == []


def test_listings_come_in_pages(hub: HubRegistry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("penstock.hub.registry.models.PAGE", 2)
    monkeypatch.setattr("penstock.hub.registry.versions.PAGE", 2)
    add(hub, "a", 5)
    for name in "bcd":
        add(hub, name)
    assert [v.version for v in hub.versions("a")] == list("12345")
    assert [m.name for m in hub.models()] == list("abcd")


def test_a_change_is_one_request_and_another_for_what_it_gives_back(
    hub: HubRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(hub)
    paths: list[str] = []
    call = MlflowRestClient.call

    def noted(server: MlflowRestClient, method: str, path: str, *arguments: Any, **named: Any) -> dict[str, Any]:
        paths.append(path.removeprefix(f"{OWN_API}/"))
        return call(server, method, path, *arguments, **named)

    monkeypatch.setattr(MlflowRestClient, "call", noted)
    hub.set_tag("fraud", "k", "v")
    hub.delete_tag("fraud", "k", "1")
    hub.describe("fraud", "What it is for.", "1")
    assert hub.record_package("fraud", "1", PackageFacts("ab" * 32)).digest == "ab" * 32
    assert hub.set_stage("fraud", "1", "Staging").stage == "Staging"
    hub.delete("fraud", "1")
    changes = ["tags/set", "tags/set", "descriptions/set", "versions/record-package"]
    assert paths == [*changes, "versions/set-stage", "versions/get", "models/delete"]


class TestWhatAServerIs:
    def test_a_hub_says_so_and_is_asked_once(self, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        asked = list[bool]()
        ask = MlflowRestClient.is_hub

        def noted(server: MlflowRestClient) -> bool:
            asked.append(ask(server))
            return asked[-1]

        monkeypatch.setattr(MlflowRestClient, "is_hub", noted)
        with closing(open_registry(url, cache=str(tmp_path / "cache"))) as registry:
            assert asked == []
            add(registry)
            registry.promote("fraud", "1", by="ann", reason="first")
            assert [move.reason for move in registry.history("fraud")] == ["first"]
        assert asked == [True]

    def test_whatever_a_registry_does_is_done_by_what_the_server_is(self) -> None:
        """A method that went by `Registry` alone would make nothing of what the hub does at once."""
        public = {name for name in vars(Registry) if not name.startswith("_")}
        assert public - vars(ServerRegistry).keys() == set()

    def test_anything_else_is_an_mlflow_server(self, tmp_path: Path) -> None:
        with closing(Replay()) as replay, closing(open_registry(replay.url, cache=str(tmp_path))) as registry:
            assert registry.model("fraud").latest == "3"
            assert not registry.guards_aliases
            assert "MlflowRegistry" in repr(registry)

    def test_one_that_is_away_is_asked_again_and_what_was_fetched_is_there(
        self, listening_hub: ListeningHub, tmp_path: Path, iris_onnx_package: Path
    ) -> None:
        cache = PackageCache(tmp_path / "cache")

        def opened() -> ServerRegistry:
            return ServerRegistry(MlflowRestClient(listening_hub.url, timeouts=CallTimeouts(retries=0)), cache)

        with listening_hub.over(tmp_path / "hub"), closing(opened()) as registry:
            publish(registry, "iris", iris_onnx_package, alias="production", by="ann")
            last = LastResolution(cache.root, registry.place, "iris@production")
            version = resolve_or_recall(lambda: registry.resolve("iris"), last)
            registry.fetch(version).close()
        with closing(opened()) as registry:
            with pytest.raises(RegistryUnavailable):
                registry.resolve("iris")
            recalled = resolve_or_recall(lambda: registry.resolve("iris"), last)
            assert recalled == version
            with registry.fetch(recalled) as fetched:
                assert PackagedModel.open(fetched.path).digest == version.digest
            with listening_hub.over(tmp_path / "hub"):
                assert registry.resolve("iris") == version
                assert registry.guards_aliases
