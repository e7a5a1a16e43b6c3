"""Every `penstock registry` command says the same of SQLite, of PostgreSQL and of a hub. An MLflow server is asked in
tests/services."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from cli.registry_commands import said, table
from penstock.assembly.hub import open_tokens
from registry.hub_server import ListeningHub

Say = Callable[[str], str]

# What happens to tables is the one thing that is of each.
MIGRATED = {
    "sqlite": "Created a new registry at URL (revision ",
    "postgresql": "The registry at URL was migrated from no tables to revision ",
    "hub": "The hub at URL sees to its tables itself.",
}


@pytest.fixture
def url(backend: str, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("PENSTOCK_USER", "zoe")
    monkeypatch.setenv("PENSTOCK_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("PENSTOCK_ARTIFACTS", raising=False)
    monkeypatch.chdir(tmp_path)
    if backend == "sqlite":
        yield str(tmp_path / "registry")
    elif backend == "postgresql":
        monkeypatch.setenv("PENSTOCK_ARTIFACTS", str(tmp_path / "artifacts"))
        yield request.getfixturevalue("postgres_url")
    else:
        with closing(open_tokens(str(tmp_path / "hub" / "store"))) as tokens:
            monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", tokens.add("zoe", "admin"))
        hub = ListeningHub()
        hub.start()
        with hub.over(tmp_path / "hub") as address:
            yield address
        hub.close()


@pytest.mark.parametrize("backend", MIGRATED)
def test_every_command_says_the_same_of_every_registry(
    backend: str, url: str, identity_onnx_package: Path, iris_onnx_package: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    packages = {"PACKAGE": identity_onnx_package, "OTHER": iris_onnx_package}
    assert said("migrate", url, packages, capfd).startswith(MIGRATED[backend])
    for row in table():
        if not row.is_aside:
            assert said(row.words, url, packages, capfd) == row.says, row.words
