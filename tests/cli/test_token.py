"""`penstock token`: tokens are made, shown once, listed by name, and revoked."""

from __future__ import annotations

import json
from pathlib import Path
from threading import Thread
from time import sleep

import pytest
from click.testing import CliRunner, Result

from penstock.access.credentials import digest_of
from penstock.access.tokens_file import TokenLine, parse_tokens
from penstock.cli.token.commands import _append, token
from penstock.errors import ConfigError, TokenExists, TokenNotFound
from penstock.storage import atomic
from penstock.storage.atomic import replace_file


def run(*arguments: object, **environment: str) -> Result:
    result = CliRunner().invoke(token, [*map(str, arguments)], env=environment, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result


def test_a_token_is_added_to_a_file_that_never_holds_it(tmp_path: Path) -> None:
    file = tmp_path / "tokens"
    file.write_text("# ours")  # without an end of the line
    made = run("add", "shop", "--role", "predict", "--file", file)
    shown = made.stdout.strip()
    assert file.read_text() == f"# ours\nshop predict {digest_of(shown)}\n"
    assert "not shown again" in made.stderr
    assert shown not in made.stderr
    run("add", "team", "--role", "predict", "--model", "a", "--model", "b", PENSTOCK_TOKENS_FILE=str(file))
    assert [(line.name, line.models) for line in parse_tokens(file.read_bytes())] == [
        ("shop", ()),
        ("team", ("a", "b")),
    ]
    listed = run("list", "--file", file, "--json").stdout
    assert json.loads(listed)[1] == {"name": "team", "role": "predict", "models": ["a", "b"]}
    table = run("list", "--file", file).stdout
    assert "shop" in table
    assert shown not in table


def test_without_a_file_the_line_is_printed_below_the_token() -> None:
    shown, line = run("add", "ci", "--role", "metrics").stdout.splitlines()
    assert line == f"ci metrics {digest_of(shown)}"


def test_a_revoked_tokens_line_goes_and_all_others_stay(tmp_path: Path) -> None:
    file = tmp_path / "tokens"
    rest = f"# shop is the web shop\r\n\nshop-2 admin {digest_of('x')}  # shop\n"
    file.write_bytes(f"\ufeffshop predict {digest_of('y')} # comment\n{rest}".encode())
    assert run("revoke", "shop", "--file", file).stdout == "shop is revoked.\n"
    assert file.read_bytes().decode() == rest
    with pytest.raises(TokenNotFound):
        run("revoke", "shop", "--file", file)
    run("revoke", "shop-2", "--file", file)
    assert run("list", "--file", file).stdout == "There are no tokens.\n"


def test_what_cannot_be_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    file = tmp_path / "tokens"
    run("add", "shop", "--role", "predict", "--file", file)
    before = file.read_bytes()
    with pytest.raises(TokenExists, match="'shop'"):
        run("add", "shop", "--role", "admin", "--file", file)
    with pytest.raises(ConfigError, match="must begin with a name"):
        run("add", "a/b", "--role", "admin", "--file", file)
    with pytest.raises(ConfigError, match="only a token with the role predict"):
        run("add", "x", "--role", "admin", "--model", "m", "--file", file)
    assert file.read_bytes() == before
    file.write_text("nonsense\n")
    with pytest.raises(ConfigError, match="line 1"):
        run("add", "x", "--role", "admin", "--file", file)
    with pytest.raises(ConfigError, match="cannot be read"):
        run("list", "--file", tmp_path / "none")


def test_a_file_that_is_a_link_stays_one(tmp_path: Path) -> None:
    (tmp_path / "real").touch()
    (tmp_path / "tokens").symlink_to("real")
    run("add", "shop", "--role", "predict", "--file", tmp_path / "tokens")
    assert (tmp_path / "tokens").is_symlink()
    assert (tmp_path / "real").read_text().startswith("shop predict")


def test_of_commands_at_once_none_loses_what_another_wrote(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "new" / "tokens"
    for number in range(3):
        run("add", f"old-{number}", "--role", "metrics", "--file", file)
    made: list[Exception] = []

    def slowly(path: Path, content: bytes) -> None:
        """Long enough after it was read for another one to read it as well."""
        sleep(0.005)
        replace_file(path, content)

    def work(number: int) -> None:
        try:
            _append(file, TokenLine(f"new-{number}", "metrics", digest_of(f"{number}")))
        except Exception as error:
            made.append(error)

    monkeypatch.setattr(atomic, "replace_file", slowly)
    threads = [Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for number in range(3):
        run("revoke", f"old-{number}", "--file", file)
    for thread in threads:
        thread.join()
    assert made == []
    assert sorted(line.name for line in parse_tokens(file.read_bytes())) == [f"new-{number}" for number in range(8)]
    assert [path.name for path in file.parent.iterdir()] == ["tokens"]
