"""`penstock runs compare`: the rows in which runs differ, and how far they are from the first."""

from __future__ import annotations

import json
import math

import pytest

from cli.runs.filled_store import RunCommand
from penstock.cli.runs.comparison import ComparedRow


def test_rows_that_differ_are_shown_with_the_distance_to_the_first(run: RunCommand) -> None:
    result = run("compare", "ash", "birch", "doubtful")
    lines = {line.split()[0]: line.split()[1:] for line in result.stdout.splitlines()[1:]}
    assert result.stdout.split("\n")[0].split() == [*("ash", "0a0a0a0a", "birch", "1a1a1a1a", "doubtful", "3a3a3a3a")]
    assert lines["status"] == ["finished", "finished", "failed"]
    assert lines["metrics.f1"] == ["0.8", "0.85", "(+0.05)", "0.95", "(+0.15)"]
    assert lines["metrics.loss"] == ["0.02", "0.0196078", "(-0.0003922)", "NaN"]
    assert lines["params.only"] == ["-", "here", "-"]
    assert lines["tags.team"] == ["ads", "risk", "risk"]
    assert "params.seed" not in lines
    assert result.stderr.endswith("rows are the same in all: --all\n")
    assert "params.seed" in run("compare", "ash", "birch", "--all").stdout


def test_json_has_numbers(run: RunCommand) -> None:
    found = json.loads(run("compare", "ash", "doubtful", "--json").stdout)
    assert [each["name"] for each in found["runs"]] == ["ash", "doubtful"]
    rows = {(row["kind"], row["key"]): row for row in found["rows"]}
    assert rows["metrics", "f1"]["deltas"] == [None, pytest.approx(0.15)]
    assert rows["metrics", "loss"]["values"] == [pytest.approx(0.02), None]
    assert rows["params", "depth"]["values"] == ["0", "3"]
    assert ("params", "seed") not in rows


def test_a_narrow_terminal_gets_several_tables(run: RunCommand, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("penstock.cli.runs.comparing.terminal_width", lambda: 60)
    lines = run("compare", "ash", "birch", "cedar").stdout.splitlines()
    heads = [line.split() for line in lines if "0a0a0a0a" in line]
    assert [head[2] for head in heads] == ["birch", "cedar"]
    assert all(len(line) <= 60 for line in lines)


def test_two_different_runs_are_needed(run: RunCommand) -> None:
    assert "two runs at least" in run("compare", "ash").stderr
    assert "named twice" in run("compare", "ash", "0a0").stderr


def test_nan_is_the_same_as_nan() -> None:
    assert not ComparedRow("metrics", "loss", [math.nan, math.nan]).differs
    assert ComparedRow("metrics", "loss", [math.nan, None]).differs
