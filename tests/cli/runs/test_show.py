"""`penstock runs show`: one run with all that it holds, named by id, by its beginning or by name."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import pytest

from cli.runs.filled_store import RunCommand
from penstock.cli.runs.reading.histories import metric_facts
from penstock.cli.runs.reading.source import RunSource
from penstock.cli.runs.reading.stores import existing
from penstock.errors import ConfigError, RunNotFound, TrackingRefused
from penstock.fluent.settings import TrackingSettings
from penstock.fluent.transport.interface import TrackingTransport
from penstock.fluent.transport.opening import open_transport


def test_show_tells_all_of_a_run(run: RunCommand) -> None:
    text = run("show", "birch").stdout
    lines = [line.split() for line in text.splitlines()]
    assert ["Id:", "1a" * 16] in lines
    assert ["Experiment:", "churn", "(id", "1)"] in lines
    assert ["Took:", "1", "min", "30", "s"] in lines
    loss = next(line for line in lines if line[:1] == ["loss"])
    assert loss[1:6] == ["0.0196078", "49", "0.0196078", "0.5", "50"]
    assert loss[6][0] == "█"
    assert len(loss[6]) == 20
    assert next(line for line in lines if line[:1] == ["f1"])[1:] == ["0.85", "0", "1"]
    assert ["depth", "1"] in lines
    assert ["team", "risk"] in lines
    assert "may (4f2c) for train" in text


def test_show_tells_which_runs_are_nested(run: RunCommand) -> None:
    assert "Nested runs:  1: cedar (2a2a2a2a)" in run("show", "ash").stdout
    assert "Nested in:   ash (0a0a0a0a)" in run("show", "2a2").stdout


def test_json_tells_the_same_to_programs(run: RunCommand) -> None:
    found = json.loads(run("show", "3a", "--json").stdout)
    assert found["series"]["loss"] == {
        "latest": None,
        "step": 50,
        "minimum": pytest.approx(1 / 53),
        "maximum": pytest.approx(1 / 4),
        "points": 51,
        "all_read": True,
    }
    assert (found["parent"], found["children"], found["datasets"]) == (None, [], [])
    birch = json.loads(run("show", "birch", "--json").stdout)
    assert birch["datasets"] == [{"name": "may", "digest": "4f2c", "context": "train", "source": "{}"}]


def test_a_run_is_named_by_what_is_clear(run: RunCommand) -> None:
    assert "1a" * 16 in run("show", "1a" * 16).stdout
    with pytest.raises(RunNotFound, match="is called 'oak'"):
        run("show", "oak")
    with pytest.raises(RunNotFound, match="no run 'ffff"):
        run("show", "f" * 32)
    with pytest.raises(RunNotFound):
        run("show", "ash", "-e", "empty")
    with pytest.raises(RunNotFound):
        run("show", "it's_1")


def made_run(transport: TrackingTransport, name: str) -> dict[str, Any]:
    fields = {"experiment_id": "0", "run_name": name, "start_time": 1}
    info: dict[str, Any] = transport.post("runs/create", fields)["run"]["info"]
    return info


def test_two_runs_of_one_name_are_told(filled_store: str, run: RunCommand) -> None:
    with closing(open_transport(TrackingSettings(filled_store))) as transport:
        ids = [made_run(transport, "twin")["run_id"] for _ in range(2)]
        with pytest.raises(ConfigError, match=r"'twin' may be one of several runs: \w{12} \(twin in Default") as caught:
            run("show", "twin")
        assert all(each[:12] in caught.value.message for each in ids)
        for each in ids:
            transport.post("runs/delete", {"run_id": each})
        for text in (ids[0], ids[0][:12]):
            assert "deleted" in run("show", text).stdout


def test_a_deleted_run_is_found_where_no_other_is_meant(filled_store: str, run: RunCommand) -> None:
    with closing(open_transport(TrackingSettings(filled_store))) as transport:
        old, new = (made_run(transport, "rowan")["run_id"] for _ in range(2))
        transport.post("runs/delete", {"run_id": old})
        assert new in run("show", "rowan").stdout
        transport.post("runs/delete", {"run_id": new})
        with pytest.raises(ConfigError, match="several runs"):
            run("show", "rowan")
        gone = transport.post("experiments/create", {"name": "gone"})["experiment_id"]
        made = transport.post("runs/create", {"experiment_id": gone, "run_name": "elm", "start_time": 1})
        transport.post("experiments/delete", {"experiment_id": gone})
    assert made["run"]["info"]["run_id"] in run("show", "elm").stdout
    compared = run("compare", "ash", new[:12], "--json").stdout
    assert [each["deleted"] for each in json.loads(compared)["runs"]] == [False, True]
    assert f"rowan {new[:8]}, deleted" in run("compare", "ash", new[:12]).stdout


class NotAHub(TrackingTransport):
    """An MLflow server: it has not what a hub has beside MLflow's REST. An older one knows no pages of points."""

    takes_run_ids = False

    def __init__(self, behind: TrackingTransport, *, pages: bool) -> None:
        self._behind = behind
        self._pages = pages
        self.asked: list[str] = []

    @property
    def place(self) -> str:
        return "http://mlflow:5000"

    def get(self, path: str, fields: Any) -> dict[str, Any]:
        self.asked.append(path)
        if path.startswith("/"):
            raise TrackingRefused("Not found", status=404, error_code="ENDPOINT_NOT_FOUND")
        if path == "metrics/get-history" and "max_results" in fields and not self._pages:
            raise TrackingRefused("does not support pagination", status=400, error_code="INVALID_PARAMETER_VALUE")
        return self._behind.get(path, fields)

    def send(self, method: str, path: str, fields: Any) -> dict[str, Any]:
        return self._behind.send(method, path, fields)

    def list_files(self, directory: str, path: str) -> list[dict[str, Any]]:
        return self._behind.list_files(directory, path)

    def post(self, path: str, fields: Any) -> dict[str, Any]:
        return self._behind.post(path, fields)

    def put_file(self, *_: Any) -> None:
        raise NotImplementedError

    read_file = post_encoded = put_file  # type: ignore[assignment]

    def close(self) -> None:
        self._behind.close()


@pytest.mark.parametrize("pages", [True, False])
def test_a_server_without_summaries_gives_points(
    pages: bool, filled_store: str, run: RunCommand, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("penstock.cli.runs.reading.histories._POINTS_PAGE", 20)
    from_hub = json.loads(run("show", "cedar", "--json").stdout)

    @contextmanager
    def opened(tracking: str) -> Iterator[RunSource]:
        with closing(NotAHub(open_transport(TrackingSettings(filled_store)), pages=pages)) as transport:
            yield RunSource(transport)

    monkeypatch.setattr("penstock.cli.runs.commands.opened", opened)
    assert json.loads(run("show", "cedar", "--json").stdout)["series"] == from_hub["series"]


def test_points_are_read_up_to_a_limit(filled_store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("penstock.cli.runs.reading.histories.MAX_POINTS", 30)
    with closing(NotAHub(open_transport(TrackingSettings(filled_store)), pages=True)) as transport:
        source = RunSource(transport)
        facts = {fact.key: fact for fact in metric_facts(source, source.run("2a" * 16).run)}
    assert (facts["loss"].points, facts["loss"].cut, facts["f1"].cut) == (30, True, False)


def test_files_and_models_of_a_run_are_listed(filled_store: str, run: RunCommand) -> None:
    with closing(open_transport(TrackingSettings(filled_store))) as transport:
        info = made_run(transport, "with files")
        run_id = info["run_id"]
        for path in ("model/MLmodel", "notes.txt"):
            transport.put_file(info["artifact_uri"], path, io.BytesIO(b"{}" * 750), 1500)
        model = transport.post("logged-models", {"experiment_id": "0", "name": "tree", "source_run_id": run_id})
        model_id = model["model"]["info"]["model_id"]
        transport.post("runs/outputs", {"run_id": run_id, "models": [{"model_id": model_id, "step": 0}]})
        transport.post("registered-models/create", {"name": "fraud"})
        version = {"name": "fraud", "source": f"runs:/{run_id}/model", "run_id": run_id}
        transport.post("model-versions/create", version)
        transport.post("registered-models/alias", {"name": "fraud", "alias": "production", "version": "1"})
        text = run("show", "with files").stdout
        assert "registered as version 1 of fraud, production" in text
        assert f"made tree, models:/{model_id} (pending)" in text
        assert f"packaged as runs:/{run_id}/model" in text
        assert "1.5 kB  model/MLmodel" in text
        transport.post("runs/delete", {"run_id": run_id})


def test_a_database_needs_no_place_for_files_to_be_read(filled_store: str, run: RunCommand) -> None:
    assert existing(TrackingSettings("postgresql://db/x")).artifacts
    assert "cedar" in run("list", "--tracking", f"sqlite:///{filled_store}/registry.db").stdout
    assert "cedar" in run("show", "cedar", "--tracking", f"sqlite:///{filled_store}/registry.db").stdout
