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


def test_a_running_server_is_imported_as_it_is(tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    in_mlflow(FILL, uri, tmp_path)
    with running(tmp_path, "--backend-store-uri", uri) as server:
        assert imported(server.url, tmp_path)["agrees"]
        same_objects(server, tmp_path)
        in_mlflow(FILL, uri, tmp_path, "3")
        again = counts(imported(server.url, tmp_path))
        assert (again["runs"], again["metric points"], again["experiments"]) == (3, 600, 0)
        same_objects(server, tmp_path)


def test_files_that_a_server_hands_out_are_fetched_from_it(tmp_path: Path) -> None:
    old = tmp_path / "old"
    with running(tmp_path, "--artifacts-destination", str(old)) as server:
        in_mlflow(FILL, server.url, tmp_path, "files")
        assert imported(server.url, tmp_path, "--copy-artifacts")["agrees"]
        same_objects(server, tmp_path)
    copied = {str(each.relative_to(old)): each.read_bytes() for each in old.rglob("*") if each.is_file()}
    here = tmp_path / "store" / "artifacts"
    assert len(copied) > 3
    assert {name: (here / name).read_bytes() for name in copied} == copied


def test_a_file_store_is_imported_as_mlflow_reads_it(tmp_path: Path) -> None:
    place = tmp_path / "mlruns"
    in_mlflow(FILL, place.as_uri(), tmp_path)
    assert imported(str(place), tmp_path)["agrees"]
    there = _as_in_databases(walked(place.as_uri(), tmp_path))
    with hub_process(tmp_path) as url:
        here = _as_in_databases(walked(url, tmp_path))
    for kind, found in there.items():
        assert found.keys() == here[kind].keys()
        for name, each in found.items():
            assert here[kind][name] == each, f"{kind} {name}"


# Of the others a file store tells some alone, and some in a form of its own.
_OF_MODEL = ("name", "description", "creation_timestamp", "last_updated_timestamp", "tags", "by_alias")
_OF_VERSION = (
    *("version", "current_stage", "source", "run_id", "run_link", "description", "tags", "status", "status_message"),
    *("creation_timestamp", "last_updated_timestamp", "user_id"),
)


def _as_in_databases(seen: dict[str, Any]) -> dict[str, Any]:
    """A file store tells equal points each, in the order in which they came, with infinities; and of what is in its
    trash the places where it was."""
    for run in seen["runs"].values():
        run["history"] = {key: sorted({_finite(each) for each in points}) for key, points in run["history"].items()}
        run["data"]["metrics"] = {key: _finite((value,))[0] for key, value in run["data"]["metrics"].items()}
        if run["info"]["lifecycle_stage"] == "deleted":
            run["info"]["artifact_uri"] = ""
    for name, model in seen["registered models"].items():
        versions = {number: _only(each, _OF_VERSION) for number, each in model["versions"].items()}
        seen["registered models"][name] = {**_only(model, _OF_MODEL), "versions": versions}
    return {kind: _texts(found) if "models" in kind else found for kind, found in seen.items()}


def _only(told: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {name: told[name] for name in names}


def _texts(told: Any) -> Any:
    """No text is an empty one, and the number of a version is a text."""
    if isinstance(told, dict):
        return {name: _texts(each) for name, each in told.items()}
    return [_texts(each) for each in told] if isinstance(told, list) else "" if told is None else str(told)


def _finite(point: Any) -> tuple[Any, ...]:
    greatest = {"inf": "1.7976931348623157e+308", "-inf": "-1.7976931348623157e+308"}
    return (*point[:-1], greatest.get(point[-1], point[-1]))
