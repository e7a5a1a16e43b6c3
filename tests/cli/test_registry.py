"""The `penstock registry` commands, in process. Publishing is a stand-in: it registers and withdraws without files."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from click.testing import CliRunner, Result

from penstock.cli import penstock
from penstock.cli.registry.commands import registry as group
from penstock.cli.remedies import hint_of
from penstock.errors import (
    ConfigError,
    NothingToRollBack,
    PenstockError,
    RegistryUnavailable,
    SignatureIncompatible,
    Unsupported,
)
from penstock.registry import ModelVersion, NewVersion, Registry, open_registry
from penstock.registry.memory import MemoryRegistry
from penstock.sql.tables import HEAD

Run = Callable[..., Result]

NUMBERS = {"inputs": json.dumps([{"name": "a", "type": "double", "required": True}])}
MORE_NUMBERS = {"inputs": json.dumps([{"name": n, "type": "double", "required": True} for n in "ab"])}


@pytest.fixture(autouse=True)
def _publishing(monkeypatch: pytest.MonkeyPatch) -> None:
    def publish(
        target: Registry,
        name: str,
        package: str,
        *,
        alias: str | None = None,
        tags: dict[str, str] = {},  # noqa: B006
        description: str = "",
        by: str = "",
        reason: str = "",
    ) -> ModelVersion:
        new = NewVersion(str(package), "ab" * 32, NUMBERS, ("onnx",), 12_345, description, tags=tags)
        version = target.register(name, new)
        if alias:
            target.promote(name, version.version, alias, by=by, reason=reason)
        return target.version(name, version.version)

    module = ModuleType("penstock.publishing")
    module.publish = publish  # type: ignore[attr-defined]
    module.withdraw = lambda target, name, version: target.delete(name, version)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "penstock.publishing", module)
    monkeypatch.setattr("penstock.publishing", module, raising=False)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PENSTOCK_USER", "ann")
    monkeypatch.delenv("PENSTOCK_REGISTRY", raising=False)
    monkeypatch.delenv("PENSTOCK_ARTIFACTS", raising=False)

    def invoke(*words: str, stdin: str | None = None, fails: bool = False) -> Result:
        result = CliRunner().invoke(group, words, input=stdin)
        if not fails:
            assert result.exception is None, (result.exception, result.output)
        return result

    return invoke


@pytest.fixture
def added(run: Run) -> Run:
    """Two versions of fraud, the first in production."""
    run("add", "fraud", "./one", "--alias", "production", "--tag", "git=4f2c", "--description", "the first")
    run("add", "fraud", "./two")
    return run


def as_json(run: Run, *words: str) -> Any:
    return json.loads(run(*words, "--json").stdout)


def test_add_registers_and_says_what_to_do_next(run: Run, tmp_path: Path) -> None:
    first = run("add", "fraud", "./one", "--alias", "production")
    second = run("add", "fraud", "./two")
    assert first.output == "Registered version 1 of fraud.\nfraud@production now names this version.\n"
    assert second.output == "Registered version 2 of fraud.\nTo serve it: penstock registry promote fraud 2\n"
    assert (tmp_path / "penstock-registry" / "registry.db").exists()
    elsewhere = run("add", "fraud", "./two", "--registry", "my store")
    assert elsewhere.output.endswith("To serve it: penstock registry promote fraud 1 --registry 'my store'\n")
    assert run("history", "fraud", "--registry=my store").output.endswith("VERSION --registry 'my store'\n")

    third = as_json(run, "add", "fraud", "/three", "--tag", "a=b=c", "--tag", "b=", "--description", "d")
    assert (third["version"], third["tags"], third["description"]) == ("3", {"a": "b=c", "b": ""}, "d")
    assert third["created_at"].endswith("+00:00")


def test_list_shows_models_versions_and_aliases(added: Run) -> None:
    lines = added("list").output.splitlines()
    assert lines[0].split() == ["NAME", "LATEST", "VERSIONS", "ALIASES", "TAGS", "CREATED"]
    assert "fraud" in lines[1]
    assert "production -> 1" in lines[1]
    assert "\x1b" not in "".join(lines)
    [found] = as_json(added, "list")
    assert (found["name"], found["latest"], found["versions"], found["aliases"]) == (
        "fraud",
        "2",
        2,
        {"production": "1"},
    )


def test_show_describes_a_model_and_a_version(added: Run) -> None:
    shown = added("show", "fraud").output
    assert "production -> 1" in shown
    assert "abababababab" in shown
    assert "git=4f2c" in shown
    both = as_json(added, "show", "fraud")
    assert both["model"]["name"] == "fraud"
    assert [v["version"] for v in both["versions"]] == ["1", "2"]

    one = added("show", "fraud", "1").output
    for text in ("Description:", "the first", "12.3 kB", "/penstock-registry/artifacts/"):
        assert text in one
    assert [line.split() for line in one.splitlines()[-3:]] == [
        ["inputs"],
        ["name", "type", "required"],
        ["a", "double", "yes"],
    ]
    assert "fetched" not in one
    assert as_json(added, "show", "fraud", "1")["aliases"] == ["production"]


def test_show_says_of_a_version_that_its_files_are_being_read_still(added: Run) -> None:
    with open_and_close() as target:
        target.register("fraud", NewVersion("x", status="PENDING_REGISTRATION", status_message="The hub reads."))
    assert "PENDING_REGISTRATION: The hub reads." in added("show", "fraud", "3").output
    assert "Status" not in added("show", "fraud", "2").output


def test_show_says_where_a_version_comes_from(added: Run) -> None:
    with open_and_close() as target:
        fuller = NewVersion("x", signature=MORE_NUMBERS, run_id="8f2c", registered_by="ben", tags={"git": "4f2c"})
        target.register("fraud", fuller)
        target.register("fraud", NewVersion("x", signature={"inputs": MORE_NUMBERS["inputs"], "outputs": None}))
        target.register("fraud", NewVersion("x"))
    third = added("show", "fraud", "3").output
    for text in (" by ben", "8f2c", "git=4f2c", "Against version 2: breaking.", "+ input b: double"):
        assert text in third
    assert third.endswith("Breaks callers: new required input 'b'.\n")
    plain = as_json(added, "show", "fraud", "3")
    assert (plain["registered_by"], plain["run_id"]) == ("ben", "8f2c")
    assert plain["lineage"] == {
        "previous": "2",
        "compatible": False,
        "breaks": ["new required input 'b'"],
        "changes": [{"kind": "added", "side": "input", "field": "b", "before": None, "after": "double"}],
    }
    assert added("show", "fraud", "4").output.endswith("Against version 3: the same signature.\n")
    assert "no signature" in added("show", "fraud", "5").output
    assert as_json(added, "show", "fraud", "5")["lineage"]["compatible"] is None
    assert "Against" not in added("show", "fraud", "1").output
    assert as_json(added, "show", "fraud", "1")["lineage"] is None


def test_promote_and_roll_back_say_what_moved(added: Run) -> None:
    assert added("promote", "fraud", "2", "--reason", "better").output == (
        "fraud@production moved from version 1 to version 2.\n"
    )
    assert added("rollback", "fraud").output == "fraud@production moved back from version 2 to version 1.\n"
    assert added("promote", "fraud", "2", "--alias", "canary").output == (
        "fraud@canary now names version 2; before, the alias did not exist.\n"
    )
    assert added("promote", "fraud", "2", "--alias", "canary").output == "fraud@canary stays at version 2.\n"
    assert added("remove-alias", "fraud", "canary").output == "fraud@canary was removed; it named version 2.\n"

    move = as_json(added, "promote", "fraud", "2", "--reason", "better")
    assert (move["from_version"], move["to_version"], move["by"], move["reason"]) == ("1", "2", "ann", "better")
    assert as_json(added, "rollback", "fraud")["kind"] == "rollback"
    assert isinstance(added("rollback", "fraud", fails=True).exception, NothingToRollBack)


def test_promoting_what_breaks_callers_needs_a_flag(added: Run) -> None:
    with open_and_close() as target:
        target.register("fraud", NewVersion("x", signature=MORE_NUMBERS))
    refused = added("promote", "fraud", "3", fails=True)
    assert isinstance(refused.exception, SignatureIncompatible)
    assert "--allow-breaking" in hint_of(refused.exception)
    assert "to version 3" in added("promote", "fraud", "3", "--allow-breaking").output


def test_history_lists_who_moved_what_and_why(added: Run) -> None:
    added("add", "fraud", "./three", "--alias", "canary", "--reason", "to try it")
    assert [(m["by"], m["reason"]) for m in as_json(added, "history", "fraud", "--alias", "canary")] == [
        ("ann", "to try it")
    ]
    added("remove-alias", "fraud", "canary")
    added("promote", "fraud", "2", "--reason", "[bold]better[/bold] :smile:")
    lines = added("history", "fraud").output.splitlines()
    assert len(lines) == 5
    assert lines[4].endswith("[bold]better[/bold] :smile:")
    assert [m["to_version"] for m in as_json(added, "history", "fraud", "--alias", "production")] == ["1", "2"]
    assert as_json(added, "history", "fraud", "--alias", "absent") == []


def test_tag_sets_and_removes_tags(added: Run) -> None:
    assert added("tag", "fraud", "owner=risk").output == "Tagged fraud with owner=risk.\n"
    added("tag", "fraud", "git=5", "--version", "2")
    assert as_json(added, "show", "fraud")["model"]["tags"] == {"owner": "risk"}
    assert as_json(added, "show", "fraud", "2")["tags"] == {"git": "5"}
    assert added("tag", "fraud", "owner", "--delete").output == "Removed tag owner from fraud.\n"
    assert as_json(added, "show", "fraud")["model"]["tags"] == {}
    for wrong in (("owner",), ("=x",), ("a=b", "--delete")):
        assert added("tag", "fraud", *wrong, fails=True).exit_code == 2


def test_delete_asks_first_and_keeps_what_an_alias_names(added: Run) -> None:
    kept = added("delete", "fraud", "2", stdin="n\n", fails=True)
    assert kept.exit_code == 1
    assert "Delete version 2 of fraud?" in kept.stderr
    assert added("delete", "fraud", "2", stdin="y\n").stdout == "Deleted version 2 of fraud.\n"
    assert isinstance(added("delete", "fraud", "--yes", fails=True).exception, PenstockError)
    added("remove-alias", "fraud", "production")
    assert as_json(added, "delete", "fraud", "--yes") == {"deleted": {"name": "fraud", "version": None}}
    assert added("list").output == "The registry has no models. Add one with: penstock registry add NAME PACKAGE\n"
    assert as_json(added, "list") == []


def test_an_empty_registry_and_model_say_what_to_do_next(run: Run) -> None:
    run("add", "fraud", "./one")
    assert "penstock registry promote fraud VERSION" in run("history", "fraud").output
    run("delete", "fraud", "1", "--yes")
    assert "penstock registry add fraud PACKAGE" in run("show", "fraud").output


def test_migrate_makes_a_registry_once(run: Run, tmp_path: Path) -> None:
    assert run("migrate").output == f"Created a new registry at {tmp_path}/penstock-registry (revision {HEAD}).\n"
    assert "up to date" in as_json(run, "migrate")["message"]


def test_reading_without_a_registry_is_an_error_and_creates_nothing(run: Run, tmp_path: Path) -> None:
    assert isinstance(run("list", fails=True).exception, RegistryUnavailable)
    assert list(tmp_path.iterdir()) == []


def test_the_flag_of_the_registry_wins_over_the_variable(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PENSTOCK_REGISTRY", "by-variable")
    monkeypatch.setenv("PENSTOCK_ARTIFACTS", "s3://bucket")
    run("add", "fraud", "one")
    run("add", "fraud", "one", "--registry", "by-flag", "--artifacts", "/srv")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["by-flag", "by-variable"]
    assert as_json(run, "show", "fraud", "1")["source"] == "s3://bucket/one"


@pytest.mark.parametrize("command", sorted(group.commands))
def test_every_command_has_help_with_an_example_and_json(command: str, run: Run) -> None:
    text = run(command, "--help").output
    assert re.search(rf"Examples?:\n    penstock registry {command}", text)
    assert "--json" in text
    assert "PENSTOCK_REGISTRY" in text


def test_a_user_without_a_name_is_recorded_by_number(added: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody() -> str:
        raise KeyError("uid not found")

    monkeypatch.delenv("PENSTOCK_USER")
    monkeypatch.setattr("getpass.getuser", nobody)
    assert as_json(added, "promote", "fraud", "2")["by"].startswith("uid ")


def test_the_commands_import_no_database_library() -> None:
    heavy = "{'sqlalchemy', 'alembic', 'numpy', 'rich', 'orjson', 'penstock.registry'}"
    code = f"import sys, penstock.cli.registry.commands; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "[]\n"


def open_and_close() -> Any:
    from contextlib import closing

    return closing(open_registry())


def test_a_server_takes_models_from_mlflows_clients(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """`penstock registry add` would be refused there."""

    class TakesNoPackages(MemoryRegistry):
        def require_registering(self) -> None:
            raise Unsupported("It takes none.")

    monkeypatch.setattr("penstock.registry.open_registry", lambda url, **more: TakesNoPackages())
    found = run("list", "--registry", "http://hub:5000").output
    assert found.endswith("mlflow.sklearn.log_model(model, name='model', registered_model_name='NAME')\n")


@pytest.mark.parametrize("words", [("registry", "list"), ("serve", "wine"), ("inspect", "wine"), ("verify", "wine")])
def test_the_registry_is_where_runs_go(words: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("PENSTOCK_REGISTRY", "MLFLOW_REGISTRY_URI"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PENSTOCK_TRACKING_URI", "ftp://hub")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://mlflow")
    with pytest.raises(ConfigError, match="Unknown registry scheme 'ftp'"):
        CliRunner().invoke(penstock, words, catch_exceptions=False)
