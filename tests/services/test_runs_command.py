"""`penstock runs` on a real MLflow server says what it says of the embedded store."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from cli.runs.filled_store import fill
from penstock.cli.runs.commands import runs as group
from penstock.fluent.settings import TrackingSettings
from penstock.fluent.transport.opening import open_transport
from services.mlflow_servers import Server, require_mlflow, running

pytestmark = pytest.mark.services

# What every server chooses itself.
CHOSEN = {"run_id", "artifact_uri", "parent", "children", "mlflow.parentRunId"}


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, str]]:
    """A server and a store that hold the same runs."""
    require_mlflow()
    place = tmp_path_factory.mktemp("runs")
    store = str(place / "store")
    with running(place, "--serve-artifacts", "--artifacts-destination", str(place / "artifacts")) as server:
        for uri in (server.url, store):
            with closing(open_transport(TrackingSettings(uri))) as transport:
                fill(transport)
        yield server, store


def said(uri: str, *words: str) -> Any:
    return CliRunner().invoke(group, [*words, "--tracking", uri])


def told(uri: str, *words: str) -> Any:
    """JSON."""
    return _without(json.loads(said(uri, *words, "--json").stdout), CHOSEN)


def _without(value: Any, keys: set[str]) -> Any:
    if isinstance(value, dict):
        return {key: _without(each, keys) for key, each in value.items() if key not in keys}
    return [_without(each, keys) for each in value] if isinstance(value, list) else value


@pytest.mark.parametrize(
    "words",
    [
        ("list",),
        ("list", "churn", "--filter", "metrics.f1 > 0.82 and params.seed = '7'", "--order-by", "metrics.f1 DESC"),
        ("list", "--view", "deleted"),
        ("show", "birch"),
        ("show", "doubtful"),
        ("compare", "ash", "birch", "doubtful", "--all"),
    ],
)
def test_programs_are_told_the_same(words: tuple[str, ...], filled: tuple[Server, str]) -> None:
    server, store = filled
    assert told(server.url, *words) == told(store, *words)


def test_people_are_told_the_same(filled: tuple[Server, str], tmp_path: Path) -> None:
    server, store = filled
    columns = ("--columns", "name,status,f1,loss,params.*")
    assert said(server.url, "list", *columns).stdout == said(store, "list", *columns).stdout
    shown = said(server.url, "show", "ash").stdout
    assert "Nested runs:  1: cedar (" in shown
    assert "Nested in:   ash (" in said(server.url, "show", "cedar").stdout
    for words in (("list", "--filter", "metrics.f1 >> 1"), ("list", "--order-by", "metrics.f1 DOWN"), ("show", "oak")):
        ours, theirs = said(store, *words), said(server.url, *words)
        assert (ours.exit_code, ours.stderr) == (theirs.exit_code, theirs.stderr)
