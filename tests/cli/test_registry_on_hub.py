"""What `penstock registry` says of a hub alone, and with tokens. All that it says of every registry is in
`registry_commands.txt`."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from penstock.assembly.hub import open_tokens
from penstock.cli.registry.commands import registry as group
from penstock.cli.remedies import hint_of
from penstock.errors import PenstockError, RegistryDenied
from registry.hub_server import ListeningHub

Run = Callable[..., Any]


@pytest.fixture(scope="module")
def listening_hub() -> Iterator[ListeningHub]:
    hub = ListeningHub()
    hub.start()
    yield hub
    hub.close()


@pytest.fixture
def run(listening_hub: ListeningHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    with closing(open_tokens(str(tmp_path / "hub" / "store"))) as table:
        token = table.add("zoe", "admin")
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", token)
    monkeypatch.setenv("PENSTOCK_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PENSTOCK_USER", "ann")
    with listening_hub.over(tmp_path / "hub") as url:

        def invoke(*words: str) -> Any:
            result = CliRunner().invoke(group, [*words, "--registry", url, "--json"])
            if result.exception is not None:
                raise result.exception
            return json.loads(result.stdout)

        yield invoke


def test_an_empty_hub_says_how_to_add_a_package(run: Run, listening_hub: ListeningHub) -> None:
    result = CliRunner().invoke(group, ["list", "--registry", listening_hub.url])
    assert "Add one with: penstock registry add NAME PACKAGE --registry http://127.0.0.1" in result.output


def test_without_a_token_the_hint_says_where_one_is_read(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_TOKEN")
    with pytest.raises(RegistryDenied, match="valid token is required") as caught:
        run("list")
    assert "MLFLOW_TRACKING_TOKEN" in hint_of(caught.value)


def test_a_model_that_is_not_there_has_the_hint_of_every_registry(run: Run) -> None:
    with pytest.raises(PenstockError) as caught:
        run("show", "absent")
    assert hint_of(caught.value, ["registry", "show", "absent", "--registry", "http://hub:5000"]) == (
        "Add it with: penstock registry add absent PACKAGE --registry http://hub:5000"
    )
