"""`penstock runs sync` sends what programs left, and says what it could not send and why."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from fluent.recording import RecordingTransport
from penstock.cli.runs.commands import runs as group
from penstock.errors import TrackingRefused, TrackingUnavailable
from penstock.fluent import spool as module
from penstock.fluent.outbox.entries import LogEntry, lines_of
from penstock.fluent.outbox.segment import Segment
from penstock.fluent.settings import TrackingSettings

HUB, AWAY = "http://hub:5000", "http://away:5000"


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Path]:
    """Two places have ten points each; one process lives."""
    directory = tmp_path / "spool"
    points = [LogEntry("metrics", "a", ("bad!" if step == 3 else "loss", 0.5, 1, step)) for step in range(10)]
    for place in (HUB, AWAY):
        left = Segment.create(directory, place)
        left.append(lines_of(points))
        left.forget()
    living = Segment.create(directory, HUB)
    yield directory
    living.close()


@pytest.fixture
def places(monkeypatch: pytest.MonkeyPatch) -> dict[str, RecordingTransport]:
    def refuse(path: str, fields: Mapping[str, Any]) -> TrackingRefused | None:
        bad = any(point["key"] == "bad!" for point in fields.get("metrics", ()))
        return TrackingRefused("'bad!' is no name.", error_code="INVALID_PARAMETER_VALUE") if bad else None

    found = {place: RecordingTransport() for place in (HUB, AWAY)}
    found[HUB].refuse = refuse
    found[AWAY].away = True
    monkeypatch.setenv("PENSTOCK_TRACKING_URI", HUB)
    monkeypatch.setattr(module, "open_transport", lambda settings: found[settings.uri.rstrip("/")])
    return found


@pytest.fixture
def sync(spool: Path, places: dict[str, RecordingTransport]) -> Callable[..., Result]:
    return lambda *words: CliRunner().invoke(group, ["sync", "--spool", str(spool), *words])


def test_it_says_what_was_sent_refused_and_waits_on(
    sync: Callable[..., Result], places: dict[str, RecordingTransport]
) -> None:
    text = sync().stdout
    assert f"{HUB}: 9 points, params, tags, files and changes sent\n{HUB}: 1 refused, which are not tried again" in text
    assert "  The metric 'bad!' at step 3 of run a was not logged: 'bad!' is no name.\n" in text
    result = sync("--tracking", AWAY)
    assert result.exit_code == 1
    assert "lives" not in result.stdout
    text += result.stdout
    assert re.search(f"{AWAY}: 5.. B wait on in ", text)
    assert "  Nobody is there.\n" in text
    assert "lives, and sends what it logs itself" in text
    places[AWAY].away = False
    again = [sync("--json"), sync("--json", "--tracking", f"{AWAY}/")]
    assert [each.exit_code for each in again] == [1, 0]
    found = json.loads(again[0].stdout)["segments"] + json.loads(again[1].stdout)["segments"]
    assert sorted((each["uri"], each["delivered"], each["waiting_bytes"] > 0) for each in found) == [
        (AWAY, 0, True), (AWAY, 10, False), (HUB, 0, False),
    ]  # fmt: skip
    assert len(places[HUB].points("a", "loss")) == 9


def test_what_to_do_is_said_once(
    sync: Callable[..., Result], places: dict[str, RecordingTransport], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(settings: TrackingSettings) -> None:
        raise TrackingUnavailable(f"{settings.uri} wants a token.", hint="Look at MLFLOW_TRACKING_TOKEN.")

    monkeypatch.setattr(module, "open_transport", refuse)
    lines = sync("--tracking", HUB).stdout.splitlines()
    assert f"  {HUB} wants a token. Look at MLFLOW_TRACKING_TOKEN." in lines


def test_another_server_gets_nothing_unasked(
    sync: Callable[..., Result], spool: Path, places: dict[str, RecordingTransport]
) -> None:
    """Its address is what a file says; credentials go with every request."""
    places[AWAY].away = False
    result = sync()
    assert (
        f"  It is for {AWAY}, to which runs do not go now. To send it there, repeat the command with" in result.stdout
    )
    assert f" --tracking {AWAY}\n" in result.stdout
    assert (result.exit_code, places[AWAY].calls) == (1, [])
    assert sync("--tracking", AWAY).exit_code == 0
    assert places[AWAY].calls


def test_what_another_user_left_is_not_sent(
    sync: Callable[..., Result], spool: Path, places: dict[str, RecordingTransport], monkeypatch: pytest.MonkeyPatch
) -> None:
    owner = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
    result = sync()
    assert result.stdout.count(f"  It cannot be read: it belongs to another user (uid {owner}).\n") == 3
    assert (result.exit_code, places[HUB].calls) == (1, [])


def test_only_one_place_may_be_meant_and_only_looked_at(
    sync: Callable[..., Result], places: dict[str, RecordingTransport]
) -> None:
    looked = sync("--tracking", HUB, "--dry-run")
    assert looked.exit_code == 0
    assert (AWAY in looked.stdout, " B to send in" in looked.stdout) == (False, True)
    assert places[HUB].calls == []
    assert sync("--tracking", HUB).exit_code == 0


def test_what_is_no_segment_stays_and_is_named(sync: Callable[..., Result], spool: Path) -> None:
    (spool / "other").mkdir()
    (spool / "other" / "records.jsonl").write_text("something else")
    result = sync()
    assert "It cannot be read: it was written by another release, or by something else." in result.stdout
    assert (spool / "other").exists()


def test_an_empty_spool_is_no_error(tmp_path: Path) -> None:
    result = CliRunner().invoke(group, ["sync", "--spool", str(tmp_path / "none")])
    assert (result.exit_code, result.stdout) == (0, f"Nothing waits in {tmp_path / 'none'}.\n")
