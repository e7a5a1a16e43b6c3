"""An address without its scheme is told, and what MLflow keeps its own things in stays as it is."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner

from penstock.assembly.hub import migrate_store
from penstock.cli.hub.serve import hub
from penstock.cli.remedies import hint_of
from penstock.errors import ConfigError
from penstock.fluent.session import Session
from penstock.fluent.settings import TrackingSettings
from penstock.registry import open_registry
from penstock.store_places import artifacts_beside, refuse_mistyped
from penstock.tracking.opening import open_database


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("localhost:5000", "did you mean http://localhost:5000?"),
        ("127.0.0.1:5000/", "did you mean http://127.0.0.1:5000/?"),
        ("[::1]:5000", r"did you mean http://\[::1\]:5000?"),
        ("//hub.example:80/mlflow", "did you mean http://hub.example:80/mlflow?"),
        ("ann:secret@hub:5000", "did you mean http://hub:5000?"),
        ("http//127.0.0.1:5000", "did you mean http://127.0.0.1:5000?"),
        ("https:/hub", "did you mean https://hub?"),
        ("http:hub:5000", "did you mean http://hub:5000?"),
        ("sqlite:mlflow.db", "did you mean sqlite:///mlflow.db?"),
        ("sqlite:/srv/mlflow.db", "did you mean sqlite:////srv/mlflow.db?"),
        ("postgresql:/ann:secret@db/x", "did you mean postgresql://…?"),
        ("databricks", "Databricks workspace"),
        ("databricks://profile", "Databricks workspace"),
    ],
)
def test_what_was_mistyped_is_no_directory(place: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said.replace("?", r"\?")) as caught:
        TrackingSettings.from_environ({"PENSTOCK_TRACKING_URI": place})
    assert "Use a directory" in caught.value.hint
    assert "secret" not in str(caught.value)
    for refusing in (Session().set_uri, open_database, open_registry):
        with pytest.raises(ConfigError, match=said.replace("?", r"\?")):
            refusing(place)


@pytest.mark.parametrize(
    "place",
    ["runs", "./runs", "../a/b:1", "./localhost:5000", "./databricks", "uc", "a:b", "C:\\models", "C:/5", "memory:",
     "http://localhost:5000", "HTTPS://u:p@h:1/x", "sqlite:///a.db", "sqlite:////a.db", "postgresql://u:p@h:5432/x",
     "httpd/runs", "file:///srv", "file:./runs", ""],
)  # fmt: skip
def test_a_place_is_left_as_it_is(place: str) -> None:
    refuse_mistyped(place)


def test_files_lie_in_the_stores_directory_or_beside_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert artifacts_beside("./store/") == "./store/artifacts"
    assert artifacts_beside("file:./my%20store") == "./my store/artifacts"
    assert artifacts_beside("sqlite:///runs/m.db") == str(tmp_path / "runs" / "artifacts")
    assert artifacts_beside("sqlite:////srv/m.db") == "/srv/artifacts"
    assert artifacts_beside("postgresql://host/x") == ""


def mlflows_database(file: Path) -> str:
    with closing(sqlite3.connect(file)) as database:
        for table in ("alembic_version", "experiments", "runs"):
            database.execute(f"CREATE TABLE {table} (id)")
        database.commit()
    return f"sqlite:///{file}"


def test_mlflows_own_database_gets_no_tables(tmp_path: Path) -> None:
    url = mlflows_database(tmp_path / "mlflow.db")
    before = (tmp_path / "mlflow.db").read_bytes()
    with closing(open_registry(url)) as registry:
        for use in (registry.models, lambda: registry.set_tag("iris", "a", "b")):
            with pytest.raises(ConfigError, match="database of MLflow's own") as caught:
                use()
            assert f"penstock hub import {url}" in hint_of(caught.value)
            assert f"penstock hub import {url}" in caught.value.hint
    with closing(open_database(url)) as database:
        for write in (database.migrate, lambda: database.write(str), lambda: database.fill(str)):
            with pytest.raises(ConfigError, match="database of MLflow's own"):
                write()
    assert (tmp_path / "mlflow.db").read_bytes() == before


def test_a_database_that_has_both_goes_on(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'both.db'}"
    migrate_store(url)
    assert mlflows_database(tmp_path / "both.db") == url
    assert "up to date" in migrate_store(url)
    with closing(open_registry(url)) as registry:
        assert list(registry.models()) == []


def test_mlflows_file_store_becomes_no_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mlruns" / "0").mkdir(parents=True)
    (tmp_path / "mlruns" / "0" / "meta.yaml").touch()
    for place in ("mlruns", "file:./mlruns", str(tmp_path / "mlruns")):
        for opening in (open_database, open_registry):
            with pytest.raises(ConfigError, match="MLflow's file store") as caught:
                opening(place if opening is open_database else str(tmp_path / "mlruns"))
            assert hint_of(caught.value).endswith(f"penstock hub import {tmp_path / 'mlruns'}")
    with pytest.raises(ConfigError, match="MLflow's file store"):
        CliRunner().invoke(hub, ["--store", "./mlruns", "migrate"], catch_exceptions=False)
    assert [each.name for each in (tmp_path / "mlruns").iterdir()] == ["0"]


def test_a_meta_yaml_of_others_does_not_matter(tmp_path: Path) -> None:
    (tmp_path / "recipe").mkdir()
    (tmp_path / "recipe" / "meta.yaml").write_text("package:\n  name: x\n")
    open_database(str(tmp_path)).close()
    (tmp_path / "recipe" / "meta.yaml").write_text("artifact_location: x\nexperiment_id: '7a'\n")
    with pytest.raises(ConfigError, match="MLflow's file store"):
        open_database(str(tmp_path))
