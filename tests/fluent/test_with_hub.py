"""Programs that log to a hub, as they are written, over a real socket."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from penstock import tracking
from penstock.errors import TrackingInvalid, TrackingRefused
from penstock.fluent import session as sessions
from penstock.fluent.outbox.segment import Segment
from registry.hub_server import ListeningHub


@pytest.fixture(scope="module")
def listening() -> Iterator[ListeningHub]:
    server = ListeningHub()
    server.start()
    yield server
    server.close()


@pytest.fixture
def hub(listening: ListeningHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ListeningHub]:
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_NAME", "MLFLOW_EXPERIMENT_ID"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PENSTOCK_SPOOL", str(tmp_path / "spool"))
    monkeypatch.setenv("PENSTOCK_TRACKING_URI", listening.url)
    monkeypatch.setattr(sessions, "_session", sessions.Session())
    with listening.emptied(tmp_path / "artifacts", lambda: datetime.now(UTC)):
        yield listening
        while tracking.active_run() is not None:
            tracking.end_run()
        sessions.current_session().close()


class Away:
    """Stands before a hub and says that it is not there."""

    def __init__(self, listening: ListeningHub) -> None:
        self._listening = listening
        self._behind = listening._app
        listening._app = self

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        headers = [(b"retry-after", b"0"), (b"content-length", b"0")]
        await send({"type": "http.response.start", "status": 503, "headers": headers})
        await send({"type": "http.response.body", "body": b""})

    def end(self) -> None:
        self._listening._app = self._behind


def spooled(tmp_path: Path) -> list[Path]:
    return sorted((tmp_path / "spool").glob("*")) if (tmp_path / "spool").exists() else []


def test_a_run_holds_what_was_logged(hub: ListeningHub, tmp_path: Path) -> None:
    tracking.set_experiment("trees")
    (tmp_path / "notes.txt").write_text("as it was")
    with tracking.start_run(run_name="first", description="words", tags={"team": 7}) as run:
        assert tracking.log_param("depth", 8) == 8
        tracking.log_params({"rate": 0.1})
        for step in range(1500):
            tracking.log_metric("loss", 1 / (step + 1), step=step)
        tracking.log_metrics({"a": 1, "b": float("nan")}, step=3, timestamp=1000)
        tracking.set_tag("state", "one")
        tracking.set_tags({"state": "two", "gone": 1})
        tracking.delete_tag("gone")
        tracking.log_artifact(tmp_path / "notes.txt", "texts")
        (tmp_path / "notes.txt").write_text("as it is later")
        tracking.log_dict({"answer": 42}, "answers/all.json")
    found = tracking.get_run(run.info.run_id)
    assert (found.info.status, found.info.run_name, found.info.experiment_id) == ("FINISHED", "first", "1")
    assert found.data.params == {"depth": "8", "rate": "0.1"}
    assert found.data.metrics["loss"] == 1 / 1500
    assert found.data.tags["state"] == "two"
    assert found.data.tags["mlflow.note.content"] == "words"
    assert "gone" not in found.data.tags
    files = tmp_path / "artifacts" / "1" / run.info.run_id / "artifacts"
    assert (files / "texts" / "notes.txt").read_text() == "as it was"
    assert json.loads((files / "answers" / "all.json").read_text()) == {"answer": 42}


def test_a_run_that_an_error_ends_has_failed_and_lost_nothing(hub: ListeningHub) -> None:
    def train() -> None:
        with tracking.start_run():
            tracking.log_metric("loss", 0.5, step=1)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        train()
    (run,) = tracking.search_runs(output_format="list")
    found = tracking.get_run(run.info.run_id)
    assert (found.info.status, found.data.metrics) == ("FAILED", {"loss": 0.5})
    assert tracking.active_run() is None


def test_runs_are_nested_and_gone_on_with(hub: ListeningHub, monkeypatch: pytest.MonkeyPatch) -> None:
    with tracking.start_run() as parent:
        with pytest.raises(TrackingInvalid, match="already active"):
            tracking.start_run()
        with tracking.start_run(nested=True) as child:
            tracking.log_metric("inner", 1)
    assert tracking.last_active_run() is not None
    found = tracking.get_parent_run(child.info.run_id)
    assert found is not None
    assert found.info.run_id == parent.info.run_id
    monkeypatch.setenv("MLFLOW_RUN_ID", parent.info.run_id)
    with tracking.start_run(tags={"again": 1}) as again:
        tracking.log_metric("outer", 2)
    assert again.info.run_id == parent.info.run_id
    assert tracking.get_run(parent.info.run_id).data.metrics == {"outer": 2.0}
    with tracking.start_run() as other:  # the variable counts once
        assert other.info.run_id != parent.info.run_id


def test_logging_without_a_run_starts_one(hub: ListeningHub) -> None:
    tracking.log_metric("loss", 1)
    run = tracking.active_run()
    assert run is not None
    tracking.end_run()
    assert tracking.get_run(run.info.run_id).data.metrics == {"loss": 1.0}


def test_what_cannot_be_logged_is_said_at_once(hub: ListeningHub) -> None:
    with tracking.start_run():
        tracking.log_param("depth", 8)
        tracking.log_param("depth", "8")
        with pytest.raises(TrackingInvalid, match="Changing param values"):
            tracking.log_param("depth", 9)
        with pytest.raises(TrackingInvalid, match="no number"):
            tracking.log_metric("loss", "much")  # type: ignore[arg-type]
        with pytest.raises(TrackingInvalid, match="No such file"):
            tracking.log_artifact("/no/such/file")
        with pytest.raises(TrackingInvalid, match="artifact path"):
            tracking.log_text("text", "../up.txt")


def test_what_the_hub_refuses_fails_alone(hub: ListeningHub, caplog: pytest.LogCaptureFixture) -> None:
    with tracking.start_run() as run:
        tracking.log_metrics({"good": 1, "bad!": 2, "better": 3})
    assert tracking.get_run(run.info.run_id).data.metrics == {"good": 1.0, "better": 3.0}
    assert [record.getMessage().partition(":")[0] for record in caplog.records] == [
        f"The metric 'bad!' at step 0 of run {run.info.run_id} was not logged"
    ]


def test_runs_are_found_deleted_and_restored(hub: ListeningHub) -> None:
    experiment_id = tracking.create_experiment("searched", tags={"team": "a"})
    tracking.set_experiment(experiment_id=experiment_id)
    for number in range(3):
        with tracking.start_run(run_name=f"run-{number}"):
            tracking.log_metric("score", number)
            tracking.log_param("even", number % 2 == 0)
    found = tracking.search_runs(
        filter_string="params.even = 'True'", order_by=["metrics.score DESC"], output_format="list"
    )
    assert [run.info.run_name for run in found] == ["run-2", "run-0"]
    frame = tracking.search_runs(experiment_names=["searched"], order_by=["metrics.score"])
    assert list(frame["metrics.score"]) == [0.0, 1.0, 2.0]
    assert list(frame["params.even"]) == ["True", "False", "True"]
    tracking.delete_run(found[0].info.run_id)
    assert len(tracking.search_runs(output_format="list")) == 2
    tracking.restore_run(found[0].info.run_id)
    assert len(tracking.search_runs(search_all_experiments=True, output_format="list", max_results=2)) == 2
    experiment = tracking.get_experiment_by_name("searched")
    assert experiment is not None
    assert experiment.tags == {"team": "a"}
    assert tracking.get_experiment_by_name("none") is None
    with pytest.raises(TrackingRefused):
        tracking.get_run("nobody")


def test_a_run_begun_while_the_hub_is_away_is_there_when_it_is_back(hub: ListeningHub, tmp_path: Path) -> None:
    away = Away(hub)
    tracking.set_experiment("offline")
    with tracking.start_run(run_name="dark") as run:
        tracking.log_metric("loss", 1, step=1)
        tracking.log_text("text", "a.txt")
        with tracking.start_run(nested=True, run_name="child"):
            tracking.log_metric("inner", 1)
    assert len(spooled(tmp_path)) == 1
    away.end()
    assert tracking.flush_async_logging()
    found = tracking.get_run(run.info.run_id)
    assert (found.info.status, found.info.run_name, found.data.metrics) == ("FINISHED", "dark", {"loss": 1.0})
    experiment = tracking.get_experiment(found.info.experiment_id)
    assert experiment.name == "offline"
    runs = tracking.search_runs([found.info.experiment_id], output_format="list")
    assert sorted(each.info.run_name for each in runs) == ["child", "dark"]


def test_a_model_of_a_run_that_began_while_the_hub_was_away(hub: ListeningHub) -> None:
    from sklearn.linear_model import LinearRegression

    model = LinearRegression().fit([[0.0], [1.0]], [0.0, 1.0])
    away = Away(hub)
    tracking.set_experiment("models")
    with tracking.start_run() as run:
        early = tracking.log_model(model, "early")
        away.end()
        assert tracking.flush_async_logging()
        late = tracking.log_model(model, "late")
    assert (early.model_uri, early.model_id) == (f"runs:/{run.info.run_id}/early", "")
    assert tracking.get_logged_model(late.model_id).source_run_id == run.info.run_id
    assert {file.path for file in tracking.list_artifacts(run_id=run.info.run_id)} == {"early"}
    assert tracking.register_model(early.model_uri, "m").version == "1"


_TRAIN = """
import sys, time
from penstock import tracking

run = tracking.start_run(run_name="killed")
step = 0
while True:
    tracking.log_metric("step", step, step=step)
    print(run.info.run_id, step, time.time(), flush=True)
    step += 1
    time.sleep(0.002)
"""


def test_a_program_that_is_killed_loses_the_last_moment_alone(hub: ListeningHub, tmp_path: Path) -> None:
    program = subprocess.Popen([sys.executable, "-c", _TRAIN], stdout=subprocess.PIPE, text=True)
    assert program.stdout is not None
    logged = [program.stdout.readline().split() for _ in range(150)]
    away = Away(hub)  # the rest is in the spool alone
    logged += [program.stdout.readline().split() for _ in range(150)]
    program.send_signal(signal.SIGKILL)
    killed = time.time()
    logged += [line.split() for line in program.communicate()[0].splitlines()]
    away.end()
    (left,) = spooled(tmp_path)
    report = tracking.sync_spool()
    assert (report.segments, report.waiting, report.refused) == (1, 0, 0)
    assert not left.exists()
    safe = [int(step) for _, step, at in logged if float(at) < killed - 0.2]
    assert len(safe) > 100
    assert tracking.get_run(logged[0][0]).data.metrics["step"] >= safe[-1]
    assert tracking.sync_spool() == tracking.SpoolReport()


def test_a_program_that_ends_without_a_word_has_delivered_everything(hub: ListeningHub) -> None:
    program = (
        "from penstock import tracking\n"
        "run = tracking.start_run()\n"
        "print(run.info.run_id, flush=True)\n"
        "for step in range(5000): tracking.log_metric('loss', step, step=step)\n"
        "import sys; sys.stderr.close(); 1 / 0\n"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    found = tracking.get_run(ended.stdout.strip())
    assert (found.info.status, found.data.metrics) == ("FAILED", {"loss": 4999.0})


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_a_child_process_logs_to_the_run_of_its_parent(hub: ListeningHub, tmp_path: Path) -> None:
    program = (
        "import os\nfrom penstock import tracking\n"
        "run = tracking.start_run()\n"
        "print(run.info.run_id, flush=True)\n"
        "tracking.log_metric('parent', 1)\n"
        "if os.fork() == 0:\n"
        "    tracking.log_metric('child', 2)\n"
        "    tracking.flush_async_logging()\n"
        "    os._exit(0)\n"
        "os.wait()\n"
        "from multiprocessing import get_context\n"
        "other = get_context('fork').Process(target=tracking.log_metric, args=('other', 3))\n"
        "other.start(), other.join()\n"
        "print(tracking.get_run(run.info.run_id).info.status)\n"
    )
    ended = subprocess.run([sys.executable, "-W", "ignore", "-c", program], capture_output=True, text=True, check=False)
    assert ended.stderr == ""
    run_id, before_the_end = ended.stdout.split()
    assert before_the_end == "RUNNING"  # a child ends no run of its parent's
    found = tracking.get_run(run_id)
    assert (found.info.status, found.data.metrics) == ("FINISHED", {"parent": 1.0, "child": 2.0, "other": 3.0})
    assert tracking.sync_spool().delivered == 0


def test_a_segment_of_a_living_process_is_left_to_it(hub: ListeningHub, tmp_path: Path) -> None:
    segment = Segment.create(tmp_path / "spool", "http://elsewhere")
    assert tracking.sync_spool().in_use == 1
    segment.close()
