"""Which URL opens what, and what opening leaves undone."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from penstock.cli.remedies import hint_of
from penstock.errors import (
    ConfigError,
    DependencyMissing,
    ModelNotFound,
    RegistryReadOnly,
    RegistryUnavailable,
)
from penstock.registry import NewVersion, open_registry
from penstock.registry.server import ServerRegistry


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("url", "file", "artifacts"),
    [
        (None, "penstock-registry/registry.db", "penstock-registry/artifacts"),
        ("", "penstock-registry/registry.db", "penstock-registry/artifacts"),
        ("models", "models/registry.db", "models/artifacts"),
        ("./a:b", "a:b/registry.db", "a:b/artifacts"),
        ("file:{here}/with%20space", "with space/registry.db", "with space/artifacts"),
        ("file://{here}/models", "models/registry.db", "models/artifacts"),
        ("file://localhost{here}/models", "models/registry.db", "models/artifacts"),
        ("{here}/deep/models", "deep/models/registry.db", "deep/models/artifacts"),
        ("sqlite:///some/models.db", "some/models.db", "some/artifacts"),
        ("sqlite:///{here}/models.db", "models.db", "artifacts"),
    ],
)
def test_a_path_or_file_url_is_an_embedded_registry(
    url: str | None, file: str, artifacts: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = open_registry(url and url.format(here=tmp_path))
    assert list(tmp_path.iterdir()) == []
    assert registry.artifact_root == str(tmp_path / artifacts)

    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path / "other")  # a relative path means where it was opened
    registry.register("fraud", NewVersion("x"))
    assert (tmp_path / file).is_file()


@pytest.mark.parametrize(
    ("given", "root"), [("store", "{here}/store"), ("file:{here}/s", "{here}/s"), ("s3://b/models", "s3://b/models")]
)
def test_artifacts_may_be_kept_elsewhere(given: str, root: str, tmp_path: Path) -> None:
    for url in ("models", "sqlite:///models.db", "memory:"):
        registry = open_registry(url, artifacts=given.format(here=tmp_path))
        assert registry.artifact_root == root.format(here=tmp_path)
        assert registry.register("m", NewVersion("m/1")).source == root.format(here=tmp_path) + "/m/1"


@pytest.mark.parametrize("read_only", [False, True])
@pytest.mark.parametrize("url", ["models", "sqlite:///models.db", "no/such/place"])
def test_reading_a_registry_creates_nothing(url: str, read_only: bool, tmp_path: Path) -> None:
    registry = open_registry(url, read_only=read_only)
    for read in (registry.models, lambda: registry.resolve("fraud"), lambda: registry.promote("fraud", "1", by="ann")):
        with pytest.raises(RegistryUnavailable, match="There is no registry at") as caught:
            read()
        assert "penstock registry add" in hint_of(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_registry_opened_for_reading_refuses_writes(tmp_path: Path) -> None:
    for url in ("models", "memory:"):
        with pytest.raises(RegistryReadOnly):
            open_registry(url, read_only=True).register("fraud", NewVersion("x"))
    assert list(tmp_path.iterdir()) == []


def test_a_memory_registry_is_a_new_one_each_time() -> None:
    first, second = open_registry("memory:"), open_registry("memory:")
    first.register("fraud", NewVersion("x"))
    with pytest.raises(ModelNotFound):
        second.resolve("fraud")
    root = Path(first.artifact_root)
    assert root.is_dir()
    del first
    assert not root.exists()


@pytest.mark.parametrize("url", ["http://localhost:5000", "HTTPS://user:s3cret@mlflow.example/prefix/"])
def test_an_http_url_is_an_mlflow_server_without_its_password(url: str, tmp_path: Path) -> None:
    registry = open_registry(url)
    assert "s3cret" not in repr(registry) + registry.artifact_root
    assert registry.artifact_root in ("http://localhost:5000", "https://mlflow.example/prefix")
    registry.close()
    assert list(tmp_path.iterdir()) == []


def test_the_cache_is_where_it_is_said_to_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENSTOCK_CACHE", str(tmp_path / "variable"))
    for cache, place in ((None, "variable"), (str(tmp_path / "given"), "given")):
        registry = open_registry("http://localhost:5000", cache=cache)
        assert isinstance(registry, ServerRegistry)
        assert registry.cache.root == tmp_path / place
        registry.close()


@pytest.mark.parametrize(
    ("store", "said"),
    [("sqlite:///mlflow.db", "sqlite:///mlflow.db"), ("./mlruns", "./mlruns"), ("databricks", "Databricks")],
)
def test_what_mlflow_alone_reads_is_refused_with_a_way_to_go(store: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said) as caught:
        open_registry(f"mlflow+{store}")
    assert "mlflow server" in hint_of(caught.value) or "artifacts download" in hint_of(caught.value)


def test_the_password_of_mlflows_database_is_not_told() -> None:
    with pytest.raises(ConfigError) as caught:
        open_registry("mlflow+postgresql://u:s3cret@h/db")
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["mysql://u:s3cret@h/db", "postgresql+psycopg2://u:s3cret@h/db", "postgresql://u:s3cret@h:port/db"]
)
def test_unusable_urls_are_refused_without_their_password(url: str) -> None:
    with pytest.raises(ConfigError) as caught:
        open_registry(url, artifacts="x")
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:", "sqlite:///x.db?mode=ro", "file://host/x"])
def test_urls_of_files_that_cannot_be_registries_are_refused(url: str) -> None:
    with pytest.raises(ConfigError):
        open_registry(url)


def test_a_file_in_place_of_a_directory_is_refused_with_its_url(tmp_path: Path) -> None:
    (tmp_path / "models.db").touch()
    with pytest.raises(ConfigError, match="is a directory") as caught:
        open_registry("models.db")
    assert f"sqlite:///{tmp_path}/models.db" in hint_of(caught.value)


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+psycopg"])
class TestPostgreSQL:
    def test_a_database_without_an_artifact_store_is_refused(self, scheme: str) -> None:
        with pytest.raises(ConfigError, match="a place for the packages"):
            open_registry(f"{scheme}://u:s3cret@h/db")

    def test_without_psycopg_the_error_names_what_to_install(
        self, scheme: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(sys.modules, "psycopg", None)
        with pytest.raises(DependencyMissing) as caught:
            open_registry(f"{scheme}://u:s3cret@h/db", artifacts="x")
        assert "pip install 'penstock[postgres]'" in hint_of(caught.value)

    def test_an_unreachable_database_is_named_without_its_password(self, scheme: str) -> None:
        pytest.importorskip("psycopg")
        registry = open_registry(f"{scheme}://u:s3cret@127.0.0.1:1/db?password=s3cret", artifacts="x")
        with pytest.raises(RegistryUnavailable, match=r"postgresql://u:\*\*\*@127.0.0.1:1/db") as caught:
            registry.models()
        assert "s3cret" not in str(caught.value) + str(caught.value.__cause__)
        registry.close()


def test_importing_imports_no_database_library() -> None:
    heavy = {"sqlalchemy", "alembic", "click", "rich", "urllib3"}
    code = f"import sys, penstock.registry; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "[]\n"
