"""`penstock hub` and its tokens, as commands."""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from penstock.access.credentials import digest_of
from penstock.assembly.hub import HubOptions
from penstock.cli.hub.options import PortType
from penstock.cli.hub.serve import _announce, hub
from penstock.errors import ConfigError

OWN = HubOptions("store", "files")


def run(store: Path, *arguments: str) -> str:
    result = CliRunner().invoke(hub, ["--store", str(store), *arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_a_token_is_made_listed_and_revoked(tmp_path: Path) -> None:
    assert run(tmp_path, "token", "list") == "There are no tokens.\n"
    token = run(tmp_path, "token", "add", "ann", "--role", "write").strip()
    assert token.startswith("pst_")
    (row,) = json.loads(run(tmp_path, "token", "list", "--json"))
    assert (row["name"], row["role"], row["revoked"]) == ("ann", "write", None)
    shown = run(tmp_path, "token", "list") + run(tmp_path, "token", "list", "--json")
    assert "ann" in shown
    assert token not in shown
    assert digest_of(token) not in shown
    assert run(tmp_path, "token", "revoke", "ann") == "ann is revoked.\n"
    (row,) = json.loads(run(tmp_path, "token", "list", "--json"))
    assert row["revoked"] is not None


def test_the_first_token_and_the_last_say_what_they_change(tmp_path: Path) -> None:
    def said(*arguments: str) -> str:
        result = CliRunner().invoke(hub, ["--store", str(tmp_path / "my store"), "token", *arguments])
        assert result.exit_code == 0, result.output
        return result.stderr

    assert "first token of this store: from now on its hubs ask everybody" in said("add", "ann", "--role", "write")
    assert "first token" not in said("add", "bob", "--role", "read")
    assert said("revoke", "ann") == ""
    told = said("revoke", "bob")
    assert "last good token of this store: its hubs go on asking for one, after a restart too" in told
    (again,) = re.findall(r"Make another with: penstock hub (.*)", told)
    assert "first token" not in said("add", "cy", "--role", "read")
    result = CliRunner().invoke(hub, shlex.split(again.replace("NAME", "dora")))
    assert result.stdout.startswith("pst_"), result.output


@pytest.mark.parametrize(
    ("options", "asks", "said"),
    [
        (OWN, False, "only this machine can reach it\n"),
        (OWN, True, "only this machine can reach it, and callers need a token\n"),
        (replace(OWN, loopback=False), True, "callers need a token\n"),
        (replace(OWN, open_to_everybody=True), False, "open to everybody who can reach it: no tokens are asked for\n"),
    ],
)
def test_who_may_come_in_is_said_at_the_start(
    capfd: pytest.CaptureFixture[str], options: HubOptions, asks: bool, said: str
) -> None:
    _announce(options, "http://127.0.0.1:5000", asks)
    assert capfd.readouterr().err == said


def test_a_database_elsewhere_needs_a_place_for_files() -> None:
    with pytest.raises(ConfigError, match="place for files"):
        CliRunner().invoke(hub, ["--store", "postgresql://db/x"], catch_exceptions=False)


def test_a_store_is_migrated_by_command(tmp_path: Path) -> None:
    assert run(tmp_path / "new", "migrate").startswith("Created a new registry")
    assert "up to date" in run(tmp_path / "new", "migrate")


def test_a_token_that_might_be_guessed_stops_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENSTOCK_HUB_ADMIN_TOKEN", "short")
    with pytest.raises(ConfigError, match="a token needs 32"):
        CliRunner().invoke(hub, ["--store", str(tmp_path)], catch_exceptions=False)


def test_what_kubernetes_makes_of_a_service_is_no_port() -> None:
    kind = PortType(0, 65535)
    assert kind.convert("tcp://10.0.0.1:5000", None, None) == 5000
    assert kind.convert("81", None, None) == 81
