"""penstock.toml with a table for each model: what is read, what wins, and errors that name file, model and key."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from config.test_settings import example
from penstock.cli.config import show
from penstock.cli.remedies import hint_of
from penstock.cli.serve import serve
from penstock.config import (
    FILE_NAME,
    FILE_VARIABLE,
    ServerSettings,
    Settings,
    load_settings,
    origins_of,
    per_model_settings,
)
from penstock.errors import ConfigError

TABLES = """
max_rows = 500
port = 9000

[models.iris]
max_rows = 256
timeout = 5.0

[models.risk]
model = "models:/fraud@champion"
trust_code = true

[models.plain]
"""


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def file(elsewhere: Path) -> Path:
    (elsewhere / FILE_NAME).write_text(TABLES)
    return elsewhere / FILE_NAME


@pytest.mark.usefixtures("file")
class TestTables:
    def test_tables_name_the_models(self) -> None:
        settings, origins = load_settings({}, {})
        assert settings.models == ("iris=iris", "risk=models:/fraud@champion", "plain=plain")
        assert origins["models"] == FILE_NAME
        assert (settings.port, settings.max_rows) == (9000, 500)

    def test_a_table_holds_for_its_model_alone(self) -> None:
        settings, _ = load_settings({}, {})
        assert (settings.of("iris").max_rows, settings.of("iris").timeout) == (256, 5.0)
        assert (settings.of("risk").max_rows, settings.of("risk").trust_code) == (500, True)
        assert settings.of("plain").model_dump() == settings.of("never heard of").model_dump()
        assert (settings.max_rows, settings.trust_code) == (500, False)

    def test_a_table_wins_over_whatever_is_said_of_all(self) -> None:
        settings, origins = load_settings({"max_rows": 7}, {"PENSTOCK_TIMEOUT": "30"})
        assert (settings.of("iris").max_rows, settings.of("iris").timeout) == (256, 5.0)
        assert (settings.of("risk").max_rows, settings.of("risk").timeout) == (7, 30.0)
        found = origins_of("iris", settings, origins)
        assert found.keys() == set(per_model_settings())
        assert (found["max_rows"], found["timeout"], found["threads"]) == ("[models.iris]", "[models.iris]", "default")
        assert origins_of("risk", settings, origins)["max_rows"] == "--max-rows"
        assert origins_of("risk", settings, origins)["timeout"] == "PENSTOCK_TIMEOUT"

    def test_models_named_elsewhere_keep_what_the_file_says_of_them(self) -> None:
        settings, origins = load_settings({"models": ("iris",)}, {"PENSTOCK_MODELS": "other"})
        assert (settings.models, origins["models"]) == (("iris",), "flag")
        assert settings.of("iris").max_rows == 256

    def test_tables_reach_another_process(self) -> None:
        settings, _ = load_settings({}, {})
        plain = json.loads(json.dumps({**settings.model_dump(mode="json"), "api_token": "s"}))
        assert ServerSettings.model_validate(plain).of("iris") == settings.model_copy(
            update={"api_token": ServerSettings.model_validate(plain).api_token}
        ).of("iris")


@pytest.mark.parametrize("name", per_model_settings())
def test_every_setting_of_one_model_is_read_from_its_table(elsewhere: Path, name: str) -> None:
    _, value = example(name)
    (elsewhere / FILE_NAME).write_text(f"[models.iris]\n{name} = {json.dumps(value)}\n")
    settings, origins = load_settings({}, {})
    assert getattr(settings.of("iris"), name) == value != getattr(settings, name)
    assert origins_of("iris", settings, origins)[name] == "[models.iris]"
    assert origins[name] == "default"


def test_settings_that_a_model_may_have_of_its_own_are_there() -> None:
    agreed = "flavor timeout trust_code strict_env threads concurrency max_rows max_queue_rows max_wait keep_previous"
    assert set(per_model_settings()) >= {*agreed.split(), "allow_breaking"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[models.iris]\nmax_rows = 0", "The setting max_rows (penstock.toml, [models.iris]) cannot be 0"),
        ("[models.iris]\ntimeout = 'soon'", "The setting timeout (penstock.toml, [models.iris]) cannot be 'soon'"),
        ("[models.a]\n[models.iris]\nmaxrows = 1", "penstock.toml, [models.iris]: there is no setting maxrows."),
        ("[models.iris]\nport = 1", "penstock.toml, [models.iris]: port applies to the whole server"),
        ("[models.iris]\nmodel = 3", "penstock.toml, [models.iris]: model cannot be 3."),
        ("[models.iris]\nmodel = 'models:/'", "penstock.toml, [models.iris]: "),
        ("[models.iris]\nmodel = 'https://a/b'", "penstock.toml, [models.iris]: Models cannot be read from https"),
        ("[models.'a/b']\nmodel = './x'", "penstock.toml, [models.a/b]: 'a/b' cannot be a model name."),
        ("[models.'a=b']\nmodel = './x'", "penstock.toml, [models.a=b]: 'a=b' cannot be a model name."),
        ("[models]\niris = 'models:/iris@x'", "penstock.toml: models.iris is not a table."),
        ("[model.iris]\nmax_rows = 1", "penstock.toml holds unknown settings: model. Did you mean models?"),
        ("models = ['a']\n[models.iris]", "penstock.toml has both models = … and a table of models: it is one or"),
        ("models = [\n'a',\n]\n[models]\niris = 1", "penstock.toml has both models = … and a table of models"),
        ("[models.iris]\n[models.iris]", "penstock.toml has the table [models.iris] twice (at line 2, column 13)."),
        ("models = ['a'", "penstock.toml cannot be read: Unclosed array"),
    ],
)
def test_a_mistake_is_named_with_file_model_and_key(elsewhere: Path, content: str, message: str) -> None:
    (elsewhere / FILE_NAME).write_text(content)
    with pytest.raises(ConfigError) as caught:
        load_settings({}, {})
    assert message in caught.value.message
    assert hint_of(caught.value)
    result = CliRunner().invoke(serve, [])
    assert (result.exit_code, result.exception) != (0, None)


@pytest.mark.parametrize(
    ("key", "hint"),
    [
        ("path", 'What is served is named with model = "…". Settings that a model may have: model, '),
        ("modle", 'What is served is named with model = "…". Settings'),
        ("timeuot", "Did you mean timeout? Settings that a model may have: model, "),
        ("qqqqq", "Settings that a model may have: model, "),
    ],
)
def test_a_key_that_a_model_cannot_have_is_met_with_the_nearest(elsewhere: Path, key: str, hint: str) -> None:
    (elsewhere / FILE_NAME).write_text(f"[models.iris]\n{key} = 'm'")
    with pytest.raises(ConfigError) as caught:
        load_settings({}, {})
    assert hint_of(caught.value).startswith(hint)


class TestTheFilesName:
    def test_a_variable_may_name_the_file(self, elsewhere: Path) -> None:
        (elsewhere / FILE_NAME).write_text("max_rows = 1")
        (elsewhere / "other.toml").write_text("max_rows = 2")
        settings, origins = load_settings({}, {FILE_VARIABLE: "other.toml"})
        assert (settings.max_rows, origins["max_rows"]) == (2, "other.toml")

    def test_the_flag_wins_over_the_variable(self, elsewhere: Path) -> None:
        (elsewhere / "other.toml").write_text("max_rows = 2")
        assert load_settings({}, {FILE_VARIABLE: "nowhere.toml"}, Path("other.toml"))[0].max_rows == 2

    def test_an_empty_variable_counts_as_unset(self, elsewhere: Path) -> None:
        (elsewhere / FILE_NAME).write_text("max_rows = 1")
        assert load_settings({}, {FILE_VARIABLE: ""})[0].max_rows == 1

    def test_a_file_that_the_variable_names_must_be_there(self) -> None:
        with pytest.raises(ConfigError, match=r"There is no file nowhere\.toml"):
            load_settings({}, {FILE_VARIABLE: "nowhere.toml"})


@pytest.mark.usefixtures("file")
class TestShow:
    def show(self, *arguments: str, **variables: str) -> str:
        result = CliRunner().invoke(show, arguments, env={"COLUMNS": "200", **variables})
        assert result.exit_code == 0, result.output
        return result.output

    def test_config_show_lists_settings_of_models_as_a_table(self) -> None:
        text = self.show()
        rows = [line.split() for line in text.splitlines()]
        assert ["iris", "max_rows", "256", "[models.iris]"] in rows
        assert ["risk", "trust_code", "True", "[models.risk]"] in rows
        assert ["plain", "as", "above"] in rows

    def test_config_show_tells_the_origin_of_each_setting_of_a_model_as_json(self) -> None:
        shown: dict[str, Any] = json.loads(self.show("--json", "--max-wait", "3", PENSTOCK_THREADS="2"))
        assert shown.keys() == Settings.model_fields.keys()
        own = shown["models"]["own"]
        assert own.keys() == {"iris", "risk", "plain"}
        assert own["iris"]["max_rows"] == {"value": 256, "from": "[models.iris]"}
        assert own["plain"]["max_rows"] == {"value": 500, "from": FILE_NAME}
        assert own["iris"]["max_wait"] == {"value": 3.0, "from": "--max-wait"}
        assert own["iris"]["threads"] == {"value": 2, "from": "PENSTOCK_THREADS"}
        assert own["iris"]["flavor"] == {"value": None, "from": "default"}

    def test_config_show_takes_models_as_serve_does(self) -> None:
        shown = json.loads(self.show("fraud", "--json", "-w", "4"))
        assert (shown["models"]["value"], shown["models"]["from"]) == (["fraud"], "flag")
        assert shown["workers"] == {"value": 4, "from": "--workers"}


class TestPatterns:
    CONTENT = """
    [models.'team-*']
    max_rows = 5
    threads = 2
    [models.team-a]
    max_rows = 6
    [models.'x?']
    model = "models:/x?@champion"
    """

    def test_a_table_may_be_for_all_that_match(self, elsewhere: Path) -> None:
        (elsewhere / FILE_NAME).write_text(self.CONTENT)
        settings, origins = load_settings({}, {})
        assert settings.models == ("team-*", "team-a=team-a", "models:/x?@champion")
        assert [settings.of(name).max_rows for name in ("team-a", "team-b", "b")] == [6, 5, 1024]
        assert [settings.of(name).threads for name in ("team-a", "team-b", "b")] == [2, 2, 0]
        found = origins_of("team-a", settings, origins)
        assert (found["max_rows"], found["threads"]) == ("[models.team-a]", "[models.team-*]")

    @pytest.mark.parametrize("model", ["team-*", "models:/x?/3", "x"])
    def test_the_model_of_a_patterns_table_is_that_pattern(self, elsewhere: Path, model: str) -> None:
        (elsewhere / FILE_NAME).write_text(f"[models.'x?']\nmodel = '{model}'")
        with pytest.raises(ConfigError, match=r"penstock.toml, \[models.x\?\]"):
            load_settings({}, {})
