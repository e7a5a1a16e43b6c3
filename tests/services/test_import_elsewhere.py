"""Imports of what a real MLflow wrote to its file store, and from its server while that runs: the stock client is told
the same of every object there and by a hub."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from services.hub_process import hub_process
from services.mlflow_servers import running
from services.test_import import FILL, imported, in_mlflow, same_objects, walked

pytestmark = pytest.mark.services


def counts(report: dict[str, Any]) -> dict[str, int]:
    return {each["kind"]: each["imported"] for each in report["counts"]}


def test_a_running_server_is_imported_with_its_files(tmp_path: Path) -> None:
    old = tmp_path / "old"
    with running(tmp_path, "--artifacts-destination", str(old)) as server:
        in_mlflow(FILL, server.url, tmp_path)
        report = imported(server.url, tmp_path, "--copy-artifacts")
        assert report["agrees"]
        same_objects(server, tmp_path)
        assert set(counts(imported(server.url, tmp_path, "--copy-artifacts")).values()) == {0}
        in_mlflow(FILL, server.url, tmp_path, "3")
        again = counts(imported(server.url, tmp_path, "--copy-artifacts"))
        assert (again["runs"], again["metric points"], again["experiments"]) == (3, 600, 0)
        same_objects(server, tmp_path)
    copied = {str(each.relative_to(old)): each.read_bytes() for each in old.rglob("*") if each.is_file()}
    here = tmp_path / "store" / "artifacts"
    assert len(copied) > 3
    assert {name: (here / name).read_bytes() for name in copied} == copied


def test_a_file_store_is_imported_as_mlflow_reads_it(tmp_path: Path) -> None:
    place = tmp_path / "mlruns"
    in_mlflow(FILL, place.as_uri(), tmp_path)
    assert imported(str(place), tmp_path)["agrees"]
    there = walked(place.as_uri(), tmp_path)
    with hub_process(tmp_path) as url:
        here = walked(url, tmp_path)
    for kind, found in there.items():
        assert found.keys() == here[kind].keys()
        for name, each in found.items():
            assert here[kind][name] == each, f"{kind} {name}"
