"""Imports of what a real MLflow wrote: its server on its database, and a hub on the store that was imported into, tell
the same of every object to the stock client."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from penstock.moving.mlflow_database import points
from penstock.moving.mlflow_database.source import open_mlflow_database
from penstock.moving.records import Broken, PointBlock, SourceRun
from services.hub_process import hub_process
from services.mlflow_servers import BIN, Server, clean_environment, require_mlflow, running
from services.mysql_server import mysql_server
from support.postgres import postgres_server

pytestmark = pytest.mark.services

FILL = Path(__file__).with_name("fill_mlflow.py")
WALK = Path(__file__).with_name("walk_server.py")


def drivers(place: Path) -> dict[str, str]:
    """MLflow's environment has no drivers of servers: this one's are lent to it."""
    lent = place / "drivers"
    lent.mkdir(exist_ok=True)
    for here in Path(sysconfig.get_path("purelib")).iterdir():
        if here.name.lower().startswith(("psycopg", "pymysql")) and not (lent / here.name).exists():
            (lent / here.name).symlink_to(here)
    return {"PYTHONPATH": str(lent)}


def in_mlflow(script: Path, uri: str, place: Path, *arguments: str) -> str:
    """What a script prints that MLflow's Python runs."""
    require_mlflow()
    environment = {"MLFLOW_TRACKING_URI": uri, "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", **drivers(place)}
    environment["MLFLOW_ALLOW_FILE_STORE"] = "true"  # which MLflow maintains no more
    done = subprocess.run(
        [BIN / "python", script, *arguments],
        env={**clean_environment(), **environment},
        cwd=place,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def imported(source: str, place: Path, *options: str) -> dict[str, Any]:
    """The report of a real `penstock hub import`."""
    command = [sys.executable, "-m", "penstock", "hub", "import", source, "--store", str(place / "store"), "--json"]
    done = subprocess.run([*command, *options], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-3000:]
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def walked(url: str, place: Path) -> dict[str, Any]:
    """All that the stock client sees, but for what a hub says in another form: of a logged model's points the latest
    ones, and an empty text for no description and no run of a version."""
    seen: dict[str, Any] = json.loads(in_mlflow(WALK, url, place))
    for model in seen["logged models"].values():
        by_step = sorted(model["metrics"], key=lambda each: int(each["step"]))
        model["metrics"] = list({(each["key"], each["run_id"]): each for each in by_step}.values())
    for model in seen["registered models"].values():
        for version in (*model["versions"].values(), *model["latest_versions"]):
            version["description"] = version["description"] or ""
            version["run_id"] = version["run_id"] or ""
    for run in seen["runs"].values():
        run["data"]["metrics"] = {key: repr(value) for key, value in run["data"]["metrics"].items()}
    return seen


def same_objects(server: Server, place: Path) -> None:
    there = walked(server.url, place)
    with hub_process(place) as url:
        here = walked(url, place)
    assert {kind: len(found) for kind, found in there.items()} == {kind: len(found) for kind, found in here.items()}
    for kind, found in there.items():
        for name, each in found.items():
            assert here[kind][name] == each, f"{kind} {name}"


@contextmanager
def database(kind: str, place: Path) -> Iterator[str]:
    """The URL of an empty database, as MLflow takes it."""
    if kind == "sqlite":
        yield f"sqlite:///{place}/mlflow.db"
    elif kind == "postgresql":
        with postgres_server() as server:
            yield server.url.replace("postgresql://", "postgresql+psycopg://")
    else:
        with mysql_server() as url:
            yield url


def assert_blocks_hold_all(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run with more points than are read at once comes in blocks with the same points."""
    with closing(open_mlflow_database(uri)) as source:
        runs = [each for page in source.runs() for each in page if isinstance(each, SourceRun)]
        whole = points_by_series(source.points(runs))
        with monkeypatch.context() as patched:
            patched.setattr(points, "BLOCK", 50)
            assert points_by_series(source.points(runs)) == whole


def points_by_series(blocks: Iterator[PointBlock | Broken]) -> dict[tuple[str, str], list[Any]]:
    found: dict[tuple[str, str], list[Any]] = {}
    for block in blocks:
        assert isinstance(block, PointBlock)
        found.setdefault((block.run_id, block.key), []).extend(map(repr, block.points))
    return {series: sorted(each) for series, each in found.items()}


@pytest.mark.parametrize("kind", ["sqlite", "postgresql", "mysql"])
def test_all_that_mlflow_shows_is_shown_by_the_hub(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with database(kind, tmp_path) as uri:
        in_mlflow(FILL, uri, tmp_path)
        report = imported(uri, tmp_path)
        assert report["agrees"]
        with running(tmp_path, "--backend-store-uri", uri, environment=drivers(tmp_path)) as server:
            same_objects(server, tmp_path)
            assert_blocks_hold_all(uri, monkeypatch)
            in_mlflow(FILL, uri, tmp_path, "3")
            again = imported(uri, tmp_path)
            counts = {each["kind"]: each["imported"] for each in again["counts"]}
            assert (counts["runs"], counts["metric points"], counts["experiments"]) == (3, 600, 0)
            same_objects(server, tmp_path)


def test_an_import_brings_what_it_finds_while_mlflow_writes(tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    in_mlflow(FILL, uri, tmp_path)
    writer = subprocess.Popen(
        [BIN / "python", FILL, "60"], env={**clean_environment(), "MLFLOW_TRACKING_URI": uri}, cwd=tmp_path
    )
    seen = []
    while writer.poll() is None:
        seen.append(imported_whatever(uri, tmp_path))
    assert writer.returncode == 0
    assert len(seen) > 1
    assert imported(uri, tmp_path)["agrees"]
    with running(tmp_path, "--backend-store-uri", uri) as server:
        same_objects(server, tmp_path)


def imported_whatever(source: str, place: Path) -> dict[str, Any]:
    """The same where counts may differ, since somebody writes."""
    command = [sys.executable, "-m", "penstock", "hub", "import", source, "--store", str(place / "store"), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def test_an_import_that_is_killed_again_and_again_comes_to_its_end(tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    in_mlflow(FILL, uri, tmp_path)
    in_mlflow(FILL, uri, tmp_path, "200")
    command = [sys.executable, "-m", "penstock", "hub", "import", uri, "--store", str(tmp_path / "store")]
    for number in range(1, 8):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            process.wait(0.2 * number)
        except subprocess.TimeoutExpired:
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
    assert imported(uri, tmp_path)["agrees"]
    with running(tmp_path, "--backend-store-uri", uri) as server:
        same_objects(server, tmp_path)


def test_files_are_copied_where_that_is_asked_for(tmp_path: Path) -> None:
    old = tmp_path / "old"
    with running(tmp_path, "--artifacts-destination", str(old)) as server:
        in_mlflow(FILL, server.url, tmp_path, "files")
    report = imported(str(tmp_path / "mlflow.db"), tmp_path, "--copy-artifacts", "--artifacts-root", str(old))
    files = next(each for each in report["counts"] if each["kind"] == "artifact files")
    copied = {str(each.relative_to(old)) for each in old.rglob("*") if each.is_file()}
    assert files["imported"] == len(copied) > 3
    here = tmp_path / "store" / "artifacts"
    assert copied <= {str(each.relative_to(here)) for each in here.rglob("*") if each.is_file()}
    code = (
        "import mlflow; m = mlflow.pyfunc.load_model('models:/echo@champion'); "
        "assert list(m.predict(['a'])) == ['a']; print('loaded')"
    )
    (tmp_path / "load.py").write_text(code)
    with hub_process(tmp_path) as url:
        assert "loaded" in in_mlflow(tmp_path / "load.py", url, tmp_path)
