"""`penstock runs list`: what it finds, the columns it has, and what it says where there is nothing."""

from __future__ import annotations

import csv
import json
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from cli.runs.filled_store import START, RunCommand
from penstock.cli.runs import commands, tables
from penstock.cli.runs.columns import ListedRuns, attribute_columns
from penstock.errors import ConfigError, ExperimentNotFound, RegistryUnavailable, TrackingError, TrackingUnavailable
from penstock.fluent.views import RunData, RunInfo, TrackedRun
from support.http_stand_in import answering


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two hours after the first run began."""
    monkeypatch.setattr(commands, "_now", lambda: datetime.fromtimestamp(START / 1000 + 7200, UTC))


def rows(text: str) -> list[list[str]]:
    return [line.split() for line in text.splitlines()]


def test_a_list_has_the_columns_in_which_the_runs_differ(run: RunCommand, later: None) -> None:
    result = run("list", "--view", "all")
    lines = result.stdout.splitlines()
    assert lines[0].split() == [*("ID", "NAME", "STATUS", "STARTED", "DURATION", "f1", "loss", "depth", "only", "team")]
    assert [line.split()[1] for line in lines[1:]] == ["doubtful", "cedar", "birch", "ash"]
    assert lines[1].split()[:4] == ["3a3a3a3a", "doubtful", "failed", "1"]
    assert "1 h ago" in lines[1]
    assert "1 min 30 s" in lines[1]
    assert "NaN" in lines[1]
    assert result.stderr == "The same in all: seed=7.\n"


def test_a_filter_and_an_order_choose_and_sort(run: RunCommand) -> None:
    words = ("-e", "churn", "--filter", 'metrics.f1 > 0.82 and params.seed = "7"', "--order-by", "metrics.f1 DESC")
    lines = rows(run("list", *words).stdout)
    assert [line[1] for line in lines[1:]] == ["doubtful", "cedar", "birch"]
    assert "seed" in lines[0]  # the filter speaks of it, although it is the same in all


def test_an_experiment_is_named_by_its_id_too(run: RunCommand, monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(rows(run("list", "-e", "1").stdout)) == 5
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "empty")
    assert "There are no runs in experiment 'empty'" in run("list").stdout


def test_max_ends_the_list_and_says_so(run: RunCommand, monkeypatch: pytest.MonkeyPatch) -> None:
    result = run("list", "--max", "2", "--columns", "name")
    assert result.stdout.split() == ["NAME", "doubtful", "cedar"]
    assert result.stderr == (
        "These are the first 2 runs, and there are more: --max 8 or --all shows them, --filter chooses.\n"
    )
    assert run("list", "--max", "4").stderr == "The same in all: seed=7.\n"
    monkeypatch.setattr("penstock.cli.runs.reading.source._PAGE", 3)
    assert len(rows(run("list", "--all").stdout)) == 5


def test_json_has_all_of_each_run(run: RunCommand) -> None:
    found = json.loads(run("list", "--json", "--filter", "run_name = 'doubtful'").stdout)
    (doubtful,) = found
    assert doubtful["run_id"] == "3a" * 16
    assert (doubtful["experiment"], doubtful["status"], doubtful["duration_seconds"]) == ("churn", "FAILED", 90.0)
    assert doubtful["started"] == "2026-05-28T20:26:43.000Z"
    assert doubtful["metrics"] == {"f1": pytest.approx(0.95), "loss": None}
    assert doubtful["params"] == {"depth": "3", "seed": "7"}


def test_csv_has_all_columns_or_those_asked_for(run: RunCommand) -> None:
    table = list(csv.DictReader(run("list", "--csv").stdout.splitlines()))
    assert [row["params.depth"] for row in table] == ["3", "2", "1", "0"]
    assert [row["params.only"] for row in table] == ["", "", "here", ""]
    assert run("list", "--csv", "--columns", "name,params.d*", "--max", "1").stdout == (
        "name,params.depth\ndoubtful,3\n"
    )


def test_a_table_leaves_out_what_has_no_room(run: RunCommand, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("penstock.cli.runs.listing.terminal_width", lambda: 60)
    result = run("list")
    assert all(len(line) <= 60 for line in result.stdout.splitlines())
    assert "No room for metrics.loss, params.only, duration, tags.team." in result.stderr


def test_ids_are_as_long_as_it_takes_to_tell_them_apart() -> None:
    def ids_of(*ids: str) -> list[str]:
        listed = ListedRuns([TrackedRun(RunInfo(each, "1"), RunData()) for each in ids], {}, datetime.now(UTC))
        return [attribute_columns(listed)["id"].shown(run) for run in listed.runs]

    assert ids_of("a" * 32, "b" * 32) == ["a" * 8, "b" * 8]
    assert ids_of("a" * 32, "a" * 9 + "b" * 23) == ["a" * 10, "a" * 9 + "b"]
    assert ids_of("a" * 32) == ["a" * 8]


def test_columns_fit_from_the_first_on() -> None:
    wide, narrow = tables.TableColumn.of("a", ["x" * 10]), tables.TableColumn.of("b", ["y"])
    assert tables.fitted([narrow], [narrow, wide, narrow], 10) == 1
    assert tables.fitted([narrow], [narrow, wide], 16) == 2


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        (("--filter", "metrics.f1 >> 0.9"), ("metrics.f1 >> 0.9", "           ^")),
        (("--filter", "metrics.f1 > 0.9 or x"), ("metrics.f1 > 0.9 or x", "                 ^")),
        (("--order-by", "start_time", "--order-by", "metrics.f1 DOWN"), ("metrics.f1 DOWN", "           ^")),
        (("-e", "empty", "--filter", "日本 = 1"), ("日本 = 1", "^")),
        (("--filter", "params.`日本` = 1"), ("params.`日本` = 1", "                ^")),
    ],
)
def test_a_filter_that_cannot_be_read_is_shown_with_a_caret(
    words: tuple[str, ...], shown: tuple[str, str], run: RunCommand
) -> None:
    result = run("list", *words)
    assert result.exit_code == 2
    assert [line[9:] for line in result.stderr.splitlines()[1:3]] == list(shown)


def test_what_a_filter_cannot_find_is_said(run: RunCommand) -> None:
    told = run("list", "--filter", "metrics.fone > 0.9", "-e", "churn").stdout
    assert "None has metrics.fone. There are: metrics.f1, metrics.loss, params.depth" in told
    assert "See all with: penstock runs list -e churn" in told


def test_an_experiment_is_named_in_any_way(run: RunCommand) -> None:
    both = run("list", "churn", "-e", "empty", "--columns", "name").stdout
    assert both == run("list", "-e", "churn", "--columns", "name").stdout
    assert "runs in experiment 'empty'" in run("list", "empty").stdout


def test_reading_changes_no_database(run: RunCommand, tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "mlflow.db")) as database:
        for table in ("experiments", "runs", "latest_metrics"):
            database.execute(f"CREATE TABLE {table} (id)")
        database.commit()
    (tmp_path / "empty.db").touch()
    (tmp_path / "notes.db").write_text("no database")
    before = {file: file.read_bytes() for file in tmp_path.iterdir()}
    with pytest.raises(TrackingUnavailable, match=r"database of MLflow's own") as caught:
        run("list", "--tracking", "sqlite:///mlflow.db")
    assert "penstock hub import sqlite:///mlflow.db" in caught.value.hint
    for name in ("empty", "notes", "absent"):
        with pytest.raises(TrackingUnavailable, match="no such store"):
            run("list", "--tracking", f"sqlite:///{name}.db")
    assert {file: file.read_bytes() for file in tmp_path.iterdir()} == before


@pytest.mark.parametrize(
    ("status", "text", "said", "hint"),
    [
        (404, "nothing here", "answered 404", "Is that the address of a hub, or of an MLflow server?"),
        (404, '{"error_code": "NOT_FOUND", "message": "no such path"}', "no such path", "Is that the address of a hub"),
        (200, "<html>", "not as a tracking server does", "--tracking"),
    ],
)
def test_a_server_of_another_kind_is_told(run: RunCommand, status: int, text: str, said: str, hint: str) -> None:
    with answering(status, text) as url, pytest.raises(TrackingError, match=said) as caught:
        run("list", "--tracking", url)
    assert hint in caught.value.hint


def test_a_database_that_is_away_says_so_itself(run: RunCommand) -> None:
    with pytest.raises(RegistryUnavailable, match=r"postgresql://u:\*\*\*@127.0.0.1:1/x cannot be used"):
        run("list", "--tracking", "postgresql://u:secret@127.0.0.1:1/x")


def test_what_is_not_there_is_an_error_that_says_what_is(run: RunCommand, tmp_path: Path) -> None:
    with pytest.raises(ExperimentNotFound, match="no experiment 'chrun'") as caught:
        run("list", "-e", "chrun")
    assert caught.value.hint == "There are: churn."
    with pytest.raises(ConfigError, match="no column 'depht'") as asked:
        run("list", "--columns", "id,depht")
    assert asked.value.hint == "Did you mean depth?"
    (tmp_path / "runs.db").touch()
    with pytest.raises(ConfigError, match=r"runs.db is a file, but an embedded store is a directory"):
        run("list", "--tracking", "runs.db")
    (tmp_path / "runs.db").unlink()
    with pytest.raises(TrackingUnavailable, match="no such store") as missing:
        run("list", "--tracking", "./typo")
    assert "penstock hub" in missing.value.hint
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(TrackingUnavailable, match=r"127.0.0.1:1 cannot be reached: Connection refused"):
        run("list", "--tracking", "http://127.0.0.1:1")
    (tmp_path / "mlruns" / "0").mkdir(parents=True)
    (tmp_path / "mlruns" / "0" / "meta.yaml").touch()
    with pytest.raises(TrackingUnavailable, match="written by MLflow without a server"):
        run("list", "--tracking", "./mlruns")
