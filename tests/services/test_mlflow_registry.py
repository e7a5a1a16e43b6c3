"""A real MLflow server as the registry: read, followed, and changed under a gateway's eyes by MLflow's own client."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from penstock.artifacts import PackageCache
from penstock.errors import RegistryDenied, RegistryUnavailable, VersionNotFound
from penstock.loading import load_reference
from penstock.mlflow_api.client import MlflowRestClient
from penstock.mlflow_credentials import MlflowCredentials
from penstock.package import PackagedModel
from penstock.payload import Tensors
from penstock.registry import Registry, open_registry
from penstock.registry.mlflow.store import MlflowRegistry
from penstock.registry.references import parse_reference
from services.mlflow_servers import Client, Server, client_of, require_mlflow, running

pytestmark = pytest.mark.services

ROWS = [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Hands out artifacts itself."""
    require_mlflow()
    place = tmp_path_factory.mktemp("mlflow")
    with running(place, "--serve-artifacts", "--artifacts-destination", str(place / "artifacts")) as started:
        yield started


@pytest.fixture(scope="module")
def client(server: Server) -> Iterator[Client]:
    with client_of(server.url) as started:
        yield started


@pytest.fixture
def registry(server: Server, tmp_path: Path) -> Iterator[Registry]:
    opened = MlflowRegistry(MlflowRestClient(server.url), PackageCache(tmp_path / "cache"))
    yield opened
    opened.close()


def answer(uri: str, registry: Registry) -> list[list[float]]:
    _, loaded = load_reference(parse_reference(uri), registry)
    try:
        given = loaded.predictor.predict(Tensors.named({"x": np.asarray(ROWS, dtype=np.float32)}), {})
        assert isinstance(given, Tensors)
        assert given.names == ("y",)
        return given.arrays[0].tolist()  # type: ignore[no-any-return]
    finally:
        loaded.close()


def test_every_uri_loads_and_answers_as_in_mlflow(client: Client, registry: Registry) -> None:
    new = client.log(name="uris")
    old = client.log_into_run(name="uris")
    client.alias(name="uris", alias="champion", version="1")
    client.stage(name="uris", version="2", stage="Production")
    for uri in (
        "models:/uris/1",
        "models:/uris/2",
        "models:/uris@champion",
        "models:/uris/Production",
        "models:/uris/latest",
        f"models:/{new['model']}",
        f"runs:/{new['run']}/model",
        f"runs:/{old['run']}/the model",
    ):
        assert answer(uri, registry) == client.predict(uri=uri, rows=ROWS)["y"] == ROWS, uri


def test_a_package_of_ours_comes_back_as_it_was(client: Client, registry: Registry, iris_package: Path) -> None:
    version = client.log_package(name="ours", package=str(iris_package))
    number, loaded = load_reference(parse_reference(f"models:/ours/{version}"), registry)
    loaded.close()
    assert number == version
    assert loaded.package.sealed
    assert loaded.digest == PackagedModel.open(iris_package).digest
    assert loaded.proof.repeats


def test_mlflow_sees_the_aliases_and_tags_that_we_set(client: Client, registry: Registry) -> None:
    client.log(name="written")
    client.log(name="written")
    registry.promote("written", "1", "champion", by="ann")
    registry.promote("written", "2", "champion", by="ann")
    registry.promote("written", "1", "other", by="ann")
    registry.remove_alias("written", "other", by="ann")
    assert client.aliases(name="written") == {"champion": "2"}
    registry.set_tag("written", "owner", "péage = 3")
    registry.set_tag("written", "git", "4f2c", version="1")
    assert client.tags(name="written", version="1") == [{"owner": "péage = 3"}, {"git": "4f2c"}]
    for key, version in (("owner", None), ("git", "1"), ("never set", None), ("never set", "1")):
        registry.delete_tag("written", key, version)
    assert client.tags(name="written", version="1") == [{}, {}]


def test_a_version_deleted_under_an_alias_is_not_found(client: Client, registry: Registry) -> None:
    client.register(name="gone")
    client.alias(name="gone", alias="champion", version="1")
    client.delete(name="gone", version="1")
    with pytest.raises(Exception, match="gone") as caught:
        registry.resolve("gone", "champion")
    assert type(caught.value).__name__ in ("AliasNotFound", "VersionNotFound")
    with pytest.raises(VersionNotFound):
        registry.version("gone", "1")


def test_artifacts_in_a_directory_that_both_see_answer(tmp_path: Path) -> None:
    require_mlflow()
    options = ("--no-serve-artifacts", "--default-artifact-root", str(tmp_path / "root"))
    with running(tmp_path, *options) as server, client_of(server.url) as client:
        made = client.log(name="direct")
        registry = open_registry(server.url, cache=str(tmp_path / "cache"))
        for uri in ("models:/direct/1", f"models:/{made['model']}", f"runs:/{made['run']}/model"):
            assert answer(uri, registry) == ROWS, uri
        registry.close()


def test_basic_auth_opens_what_it_permits_and_is_never_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    require_mlflow()
    caplog.set_level(logging.DEBUG)
    (tmp_path / "auth.ini").write_text(
        "[mlflow]\ndefault_permission = READ\nadmin_username = admin\nauth_cache_ttl_seconds = 60\n"
        f"database_uri = sqlite:///{tmp_path}/auth.db\n"
        "authorization_function = mlflow.server.auth:authenticate_request_basic_auth\n"
    )
    secret = "correct-horse-9"
    settings = {
        "MLFLOW_AUTH_CONFIG_PATH": str(tmp_path / "auth.ini"),
        "MLFLOW_AUTH_ADMIN_PASSWORD": secret,
        "MLFLOW_FLASK_SERVER_SECRET_KEY": "signs cookies",
    }
    options = ("--app-name", "basic-auth", "--artifacts-destination", str(tmp_path / "artifacts"), "--serve-artifacts")
    account = {"MLFLOW_TRACKING_USERNAME": "admin", "MLFLOW_TRACKING_PASSWORD": secret}
    with (
        running(tmp_path, *options, environment=settings) as server,
        client_of(server.url, account) as client,
    ):
        client.log(name="guarded")
        for access in (MlflowCredentials(), MlflowCredentials("admin", "wrong-password")):
            stranger = MlflowRegistry(MlflowRestClient(server.url, access), PackageCache(tmp_path / "cache"))
            with pytest.raises(RegistryDenied, match="401"):
                stranger.models()
            stranger.close()
        for name, value in account.items():
            monkeypatch.setenv(name, value)
        registry = open_registry(server.url, cache=str(tmp_path / "cache"))
        assert [m.name for m in registry.models()] == ["guarded"]
        assert answer("models:/guarded/1", registry) == ROWS
        registry.promote("guarded", "1", "champion", by="ann")
        assert client.aliases(name="guarded") == {"champion": "1"}
        registry.close()
        by_url = open_registry(server.url.replace("//", f"//admin:{secret}@"), cache=str(tmp_path / "cache"))
        assert by_url.latest("guarded").version == "1"
        by_url.close()
    assert secret not in caplog.text


def test_a_server_that_is_away_is_unavailable(tmp_path: Path) -> None:
    require_mlflow()
    server = Server(tmp_path, (), {})
    registry = open_registry(server.url)
    with pytest.raises(RegistryUnavailable, match="refused"):
        registry.resolve("fraud")
    registry.close()


def test_the_recorded_answers_are_what_this_mlflow_says(client: Client, registry: MlflowRegistry) -> None:
    """Which fields there are, so that a change of MLflow's protocol is noticed."""
    from registry.replay import ANSWERS

    recorded = json.loads(ANSWERS.read_text())
    client.register(name="fields")
    client.alias(name="fields", alias="production", version="1")
    model = registry._server.get("registered-models/get", name="fields")["registered_model"]
    version = registry._server.get("registered-models/alias", name="fields", alias="production")["model_version"]
    kept = [v["json"] for k, v in recorded.items() if "registered-models/get " in k and v.get("status") == 200]
    named = [v["json"] for k, v in recorded.items() if "registered-models/alias " in k and v.get("status") == 200]
    assert model.keys() <= {*kept[0]["registered_model"], *kept[1]["registered_model"]}
    assert version.keys() <= named[0]["model_version"].keys()
