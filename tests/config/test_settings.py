"""Settings: flag over variable over file, and errors that name where a value came from."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import click
import pytest
from click.testing import CliRunner
from pydantic import SecretStr, ValidationError

from penstock.cli.config import show
from penstock.cli.serve import serve
from penstock.cli.setting_flags import given, settings_options
from penstock.config import (
    FILE_NAME,
    ServerSettings,
    Settings,
    load_settings,
    mlflow_variables_of,
    registry_url,
    variable_of,
)
from penstock.errors import ConfigError


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_without_anything_the_defaults_hold() -> None:
    settings, origins = load_settings({}, {})
    assert settings == ServerSettings()
    assert set(origins.values()) == {"default"}
    assert (settings.host, settings.port, settings.trust_code) == ("127.0.0.1", 8080, False)


def test_a_flag_wins_over_a_variable_and_that_over_the_file(elsewhere: Path) -> None:
    (elsewhere / FILE_NAME).write_text('port = 1001\nhost = "0.0.0.0"\nmax_rows = 11\n')
    environ = {"PENSTOCK_PORT": "1002", "PENSTOCK_MAX_ROWS": "12", "PORT": "9"}
    settings, origins = load_settings({"port": 1003}, environ)
    assert (settings.port, settings.max_rows, settings.host) == (1003, 12, "0.0.0.0")
    assert origins["port"] == "--port"
    assert origins["max_rows"] == "PENSTOCK_MAX_ROWS"
    assert origins["host"] == FILE_NAME
    assert origins["drain_delay"] == "default"
    assert origins.keys() == Settings.model_fields.keys()


def test_a_file_that_is_named_must_be_there(elsewhere: Path) -> None:
    with pytest.raises(ConfigError, match="There is no file"):
        load_settings({}, {}, elsewhere / "other.toml")
    (elsewhere / "other.toml").write_text("max_rows = 5")
    settings, origins = load_settings({}, {}, elsewhere / "other.toml")
    assert (settings.max_rows, origins["max_rows"]) == (5, str(elsewhere / "other.toml"))


@pytest.mark.parametrize("content", [b"port = ", b"\xff\xfe", b"[port]\nx = 1"])
def test_a_file_that_cannot_be_read_is_named(elsewhere: Path, content: bytes) -> None:
    (elsewhere / FILE_NAME).write_bytes(content)
    with pytest.raises(ConfigError, match=FILE_NAME):
        load_settings({}, {})


def test_unknown_keys_in_a_file_are_named(elsewhere: Path) -> None:
    (elsewhere / FILE_NAME).write_text("prot = 1\nport = 2\nhots = 3")
    with pytest.raises(ConfigError, match="unknown settings: hots, prot"):
        load_settings({}, {})


def test_empty_variables_count_as_unset() -> None:
    assert load_settings({}, {"PENSTOCK_PORT": "", "PENSTOCK_MODELS": ""}) == load_settings({}, {})


def test_the_variable_that_kubernetes_sets_beside_a_service_is_no_port() -> None:
    settings, origins = load_settings({}, {"PENSTOCK_PORT": "tcp://10.96.0.12:8080"})
    assert (settings.port, origins["port"]) == (8080, "default")


class TestMlflowsVariables:
    @pytest.mark.parametrize(
        ("variable", "text", "name", "value"),
        [
            ("MLFLOW_TRACKING_URI", "http://mlflow:5000", "registry", "http://mlflow:5000"),
            ("MLFLOW_REGISTRY_URI", "https://mlflow", "registry", "https://mlflow"),
            ("MLFLOW_TRACKING_URI", "sqlite:///mlflow.db", "registry", "mlflow+sqlite:///mlflow.db"),
            ("MLFLOW_TRACKING_URI", "databricks", "registry", "mlflow+databricks"),
            ("MLFLOW_HOST", "0.0.0.0", "host", "0.0.0.0"),
            ("MLFLOW_PORT", "5000", "port", 5000),
            ("MLFLOW_SCORING_SERVER_REQUEST_TIMEOUT", "90", "timeout", 90.0),
            ("MLFLOW_MODELS_WORKERS", "1", "workers", 1),
        ],
    )
    def test_mlflows_variables_mean_what_they_mean_to_mlflow(
        self, variable: str, text: str, name: str, value: Any
    ) -> None:
        settings, origins = load_settings({}, {variable: text})
        assert (getattr(settings, name), origins[name]) == (value, variable)

    def test_the_registry_uri_wins_over_the_tracking_uri(self) -> None:
        environ = {"MLFLOW_TRACKING_URI": "http://a", "MLFLOW_REGISTRY_URI": "http://b"}
        settings, origins = load_settings({}, environ)
        assert (settings.registry, origins["registry"]) == ("http://b", "MLFLOW_REGISTRY_URI")

    @pytest.mark.parametrize("uri", ["http://hub:5000", "./store", "sqlite:///store.db"])
    def test_where_runs_go_is_where_models_are(self, uri: str) -> None:
        environ = {"PENSTOCK_TRACKING_URI": uri, "MLFLOW_TRACKING_URI": "http://mlflow"}
        settings, origins = load_settings({}, environ)
        assert (settings.registry, origins["registry"]) == (uri, "PENSTOCK_TRACKING_URI")
        assert registry_url(None, environ) == uri
        for nearer in ("PENSTOCK_REGISTRY", "MLFLOW_REGISTRY_URI"):
            environ[nearer] = "http://nearer"
            assert (load_settings({}, environ)[0].registry, registry_url(None, environ)) == ("http://nearer",) * 2
            del environ[nearer]

    def test_penstocks_settings_win_over_mlflows(self, elsewhere: Path) -> None:
        environ = {"MLFLOW_TRACKING_URI": "http://a", "MLFLOW_PORT": "5000"}
        assert load_settings({"registry": "./r"}, environ)[0].registry == "./r"
        assert load_settings({}, {**environ, "PENSTOCK_REGISTRY": "./r"})[0].registry == "./r"
        (elsewhere / FILE_NAME).write_text("port = 1001")
        assert load_settings({}, environ)[1]["port"] == FILE_NAME

    def test_the_variable_that_kubernetes_sets_beside_mlflow_is_no_port(self) -> None:
        assert load_settings({}, {"MLFLOW_PORT": "tcp://10.96.0.12:5000"})[1]["port"] == "default"

    def test_a_bad_variable_of_mlflow_is_named(self) -> None:
        with pytest.raises(ConfigError, match=r"\(MLFLOW_PORT\)"):
            load_settings({}, {"MLFLOW_PORT": "five"})

    def test_registry_url_takes_flag_then_variable_then_mlflows_variable(self) -> None:
        mlflow = {"MLFLOW_TRACKING_URI": "http://a"}
        assert registry_url(None, {}) == "./penstock-registry"
        assert registry_url(None, mlflow) == "http://a"
        assert registry_url(None, {**mlflow, "PENSTOCK_REGISTRY": "./r"}) == "./r"
        assert registry_url("./s", {**mlflow, "PENSTOCK_REGISTRY": "./r"}) == "./s"


def test_models_in_a_variable_are_separated_by_spaces() -> None:
    settings, origins = load_settings({}, {"PENSTOCK_MODELS": " ./a  b=models:/fraud@x "})
    assert settings.models == ("./a", "b=models:/fraud@x")
    assert origins["models"] == "PENSTOCK_MODELS"


@pytest.mark.parametrize(
    ("flags", "environ", "file", "origin"),
    [
        ({"port": 70_000}, {}, "", "--port"),
        ({"max_rows": 0}, {}, "", "--max-rows"),
        ({}, {"PENSTOCK_PORT": "eighty"}, "", "PENSTOCK_PORT"),
        ({}, {"PENSTOCK_POLL_INTERVAL": "0"}, "", "PENSTOCK_POLL_INTERVAL"),
        ({}, {"PENSTOCK_POLL_INTERVAL": "nan"}, "", "PENSTOCK_POLL_INTERVAL"),
        ({}, {"PENSTOCK_KEEP_ALIVE": "inf"}, "", "PENSTOCK_KEEP_ALIVE"),
        ({}, {"PENSTOCK_TRUST_CODE": "perhaps"}, "", "PENSTOCK_TRUST_CODE"),
        ({}, {"PENSTOCK_LOG_FORMAT": "xml"}, "", "PENSTOCK_LOG_FORMAT"),
        ({}, {}, "drain_delay = -1", FILE_NAME),
        ({}, {}, "models = 'one'", FILE_NAME),
        ({"port": 1}, {"PENSTOCK_PORT": "2"}, "max_rows = 'x'", FILE_NAME),
    ],
)
def test_a_bad_value_names_its_origin(
    elsewhere: Path, flags: dict[str, Any], environ: dict[str, str], file: str, origin: str
) -> None:
    (elsewhere / FILE_NAME).write_text(file)
    with pytest.raises(ConfigError) as caught:
        load_settings(flags, environ)
    assert f"({origin})" in caught.value.message
    assert "\n" not in caught.value.message


def test_a_value_that_loses_does_no_harm() -> None:
    assert load_settings({"port": 5}, {"PENSTOCK_PORT": "nonsense"})[0].port == 5


def test_the_token_is_never_shown(elsewhere: Path) -> None:
    settings, _ = load_settings({}, {"PENSTOCK_API_TOKEN": "s3cret"})
    assert settings.api_token.get_secret_value() == "s3cret"
    assert "s3cret" not in repr(settings) + str(settings.model_dump(mode="json"))
    (elsewhere / FILE_NAME).write_text("api_token = 834175")
    with pytest.raises(ConfigError, match="api_token") as caught:
        load_settings({}, {})
    assert "834175" not in str(caught.value)


@pytest.mark.parametrize("given_token", [" s3cret", "s3cret\n", "\ts3cret \n"])
def test_white_space_around_a_token_is_none_of_it(given_token: str) -> None:
    """Secrets are often files, and files end in a newline."""
    settings, _ = load_settings({}, {"PENSTOCK_API_TOKEN": given_token})
    assert settings.api_token.get_secret_value() == "s3cret"


def test_a_blank_token_is_a_mistake_and_not_an_open_door() -> None:
    with pytest.raises(ConfigError, match="PENSTOCK_API_TOKEN"):
        load_settings({}, {"PENSTOCK_API_TOKEN": " \n"})


def test_an_empty_token_is_a_mistake_wherever_it_is_said(elsewhere: Path) -> None:
    """A secret that was not filled in: whoever sets it believes that callers are asked for it."""
    with pytest.raises(ConfigError, match="PENSTOCK_API_TOKEN is empty, so no caller would be asked"):
        load_settings({}, {"PENSTOCK_API_TOKEN": ""})
    with pytest.raises(ConfigError, match="--api-token is empty"):
        load_settings({"api_token": ""}, {})
    settings, _ = load_settings({"api_token": "given"}, {"PENSTOCK_API_TOKEN": ""})
    assert settings.api_token.get_secret_value() == "given"
    (elsewhere / FILE_NAME).write_text('api_token = ""')
    with pytest.raises(ConfigError, match="setting api_token is empty"):
        load_settings({}, {})


def test_settings_do_not_change() -> None:
    with pytest.raises(ValidationError):
        Settings().port = 1  # type: ignore[misc]


def example(name: str) -> tuple[str, Any]:
    """A value for a setting that is not its default, as text and as it is read."""
    special = {"models": ("a b", ("a", "b")), "max_body_bytes": ("4096", 4096), "workers": ("1", 1)}
    special["max_inflight_bytes"] = special["max_body_bytes"]
    special["access_log_sample"] = special["trace_sample"] = ("0.25", 0.25)
    special["memory_limit"] = ("2GiB", 2 * 1024**3)
    special["max_text_cell"] = ("4KiB", 4096)
    special["reader_memory"] = ("512MiB", 512 * 1024**2)
    special["cors_origin"] = ("https://a.example", ("https://a.example",))
    special["predict_route"] = special["health_route"] = ("/other", "/other")
    if name in special:
        return special[name]
    field = Settings.model_fields[name]
    kinds = {field.annotation, *get_args(field.annotation)}
    if get_origin(field.annotation) is Literal:
        other = next(c for c in get_args(field.annotation) if c != field.default)
        return other, other
    if bool in kinds:
        return str(not field.default), not field.default
    for kind, text in ((int, "7"), (float, "1.5")):
        if kind in kinds:
            return text, kind(text)
    return "other", "other"


def value_of(settings: Settings, name: str) -> Any:
    found = getattr(settings, name)
    return found.get_secret_value() if isinstance(found, SecretStr) else found


class TestEverySetting:
    @pytest.mark.parametrize("name", Settings.model_fields)
    def test_every_setting_has_a_description_and_a_default(self, name: str) -> None:
        field = Settings.model_fields[name]
        assert field.description
        assert field.description.endswith(".") or name == "concurrency"
        assert not field.is_required()

    @pytest.mark.parametrize("name", Settings.model_fields)
    def test_every_setting_is_a_variable(self, name: str) -> None:
        text, value = example(name)
        settings, origins = load_settings({}, {variable_of(name): text})
        assert value_of(settings, name) == value
        assert origins[name] == f"PENSTOCK_{name.upper()}"

    @pytest.mark.parametrize("name", [n for n in Settings.model_fields if n != "models"])
    def test_every_setting_is_a_flag(self, name: str) -> None:
        text, value = example(name)
        seen: dict[str, Any] = {}

        @click.command()
        @settings_options(leave_out=("models",))
        def command(**flags: Any) -> None:
            seen.update(given(flags))

        flag = f"--{name.replace('_', '-')}"
        no_flag = f"--no-{name.replace('_', '-')}"
        arguments = {True: [flag], False: [no_flag]}[value] if isinstance(value, bool) else [flag, text]
        result = CliRunner().invoke(command, arguments)
        assert result.exit_code == 0, result.output
        assert seen.keys() == {name}
        settings, origins = load_settings(seen, {variable_of(name): "nonsense"})
        assert value_of(settings, name) == value
        assert origins[name] == flag

    def test_a_flag_can_say_no(self) -> None:
        option = next(p for p in serve.params if p.name == "trust_code")
        assert option.secondary_opts == ["--no-trust-code"]

    def test_serve_and_its_help_know_every_setting(self) -> None:
        assert Settings.model_fields.keys() <= {p.name for p in serve.params}
        text = CliRunner().invoke(serve, ["--help"], terminal_width=200).output
        for name in Settings.model_fields.keys() - {"models"}:
            for variable in (variable_of(name), *mlflow_variables_of(name)):
                assert variable in text, name

    def test_config_show_lists_every_setting(self) -> None:
        output = CliRunner().invoke(show, [], env={"PENSTOCK_PORT": "9000", "PENSTOCK_API_TOKEN": "s3cret"}).output
        assert all(name in output for name in Settings.model_fields)
        assert "PENSTOCK_PORT" in output
        assert "s3cret" not in output


def test_a_size_that_is_none_is_refused_in_our_own_words() -> None:
    with pytest.raises(ConfigError) as refused:
        load_settings({"reader_memory": "lots"}, {})
    assert "'lots' is not a size. Write bytes, or a number with a unit: 500MB, 2GiB." in str(refused.value)
    assert "Value error" not in str(refused.value)
