"""Where settings come from: flags, variables and penstock.toml, put together.

A flag wins over a variable, a variable over the file. Some settings can also come from a variable for tracking, of
MLflow's, of OpenTelemetry's or of a platform that runs containers, which means here what it means there. Whatever is
said to Penstock itself, also in the file, wins over it.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from penstock.config.file_paths import from_here
from penstock.config.model_tables import Origins, ServerSettings, in_table, take_tables
from penstock.config.refusals import nearest, not_toml
from penstock.config.settings import PREFIX, TRACKING_VARIABLE, Settings, mlflow_variables_of, variable_of
from penstock.errors import ConfigError, remedy
from penstock.payload import shortened

FILE_NAME = "penstock.toml"
FILE_VARIABLE = f"{PREFIX}CONFIG"

_SECRET = frozenset({"api_token"})


def load_settings(
    flags: Mapping[str, Any], environ: Mapping[str, str], file: Path | None = None
) -> tuple[ServerSettings, Origins]:
    """The settings, and for each where its value came from: a flag, a variable, the file, or the default.

    `flags` holds only what was given. `file` None means the one that PENSTOCK_CONFIG names, or ./penstock.toml where
    there is one. Raises ConfigError, which names the setting and its origin.
    """
    if file is None and environ.get(FILE_VARIABLE):
        file = Path(environ[FILE_VARIABLE])
    values: dict[str, Any] = {}
    origins: Origins = dict.fromkeys(Settings.model_fields, "default")
    for name, (variable, text) in _read_mlflow_variables(environ).items():
        values[name], origins[name] = text, variable
    path = file or Path(FILE_NAME)
    content = _read_file(file)
    tables = take_tables(path, content)
    _check_token(flags, environ, content)
    layers = [(str(path), content), ("variable", _read_variables(environ)), ("flag", dict(flags))]
    for origin, layer in layers:
        for name, value in layer.items():
            values[name] = value
            origins[name] = _origin(origin, name)
    try:
        settings = ServerSettings(**values, own=tables)
    except ValidationError as error:
        raise _cannot_be(error, origins) from None
    for model, table in tables.items():
        try:
            settings.of(model)
        except ValidationError as error:
            raise _cannot_be(error, dict.fromkeys(table, in_table(path, model))) from None
    return settings, origins


def settings_file(environ: Mapping[str, str], file: Path | None = None) -> Path | None:
    """The file that `load_settings` reads, None where there is none."""
    if file is not None:
        return file
    if named := environ.get(FILE_VARIABLE):
        return Path(named)
    return Path(FILE_NAME) if os.path.exists(FILE_NAME) else None


def _check_token(flags: Mapping[str, Any], environ: Mapping[str, str], content: Mapping[str, Any]) -> None:
    """Whoever sets a token wants the door locked. A secret that was not filled in would leave it open. Raises
    ConfigError."""
    variable = variable_of("api_token")
    given = {
        "--api-token": flags.get("api_token"),
        variable: environ.get(variable),
        "The setting api_token": content.get("api_token"),
    }
    name, token = next(((name, token) for name, token in given.items() if token is not None), ("", None))
    if token == "":
        raise ConfigError(
            f"{name} is empty, so no caller would be asked for a token.",
            hint="Set it to the token, or remove it altogether to serve without one.",
        )


def settings_of(given: Mapping[str, Any]) -> Settings:
    """The settings that a Python program gives as arguments, and of the rest the defaults. Raises ConfigError."""
    if unknown := sorted(given.keys() - Settings.model_fields.keys()):
        raise ConfigError(
            f"There is no setting {', '.join(unknown)}.",
            hint="The documentation lists every setting.",
            remedy=remedy("list_settings"),
        )
    try:
        return Settings(**given)
    except ValidationError as error:
        raise _cannot_be(error, dict.fromkeys(given, "argument")) from None


def _cannot_be(error: ValidationError, origins: Origins) -> ConfigError:
    first = error.errors()[0]
    name = str(first["loc"][0])
    why = first["msg"].removeprefix("Value error, ").rstrip(".")  # pydantic's words for an error of ours
    shown = "the value" if name in _SECRET else shortened(first["input"])
    return ConfigError(
        f"The setting {name} ({origins.get(name, 'unknown')}) cannot be {shown}: {why}.",
        hint="The documentation lists every setting.",
        remedy=remedy("list_settings"),
    )


def _origin(layer: str, name: str) -> str:
    if layer == "variable":
        return variable_of(name)
    return f"--{name.replace('_', '-')}" if layer == "flag" and name != "models" else layer


def registry_url(given: str | None, environ: Mapping[str, str]) -> str:
    """The registry for a command that has no other settings: flag, our variable, those for tracking, the default."""
    default: str = Settings.model_fields["registry"].default
    if given or environ.get(variable_of("registry")):
        return given or environ[variable_of("registry")]
    return _read_mlflow_variables(environ).get("registry", ("", default))[1]


def _read_mlflow_variables(environ: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """Setting -> variable and value. Beside a service called mlflow, Kubernetes sets MLFLOW_PORT=tcp://…, which is no
    port. A registry that is no server means something to MLflow alone, and is marked so, unless our own variable for
    tracking names it."""
    found: dict[str, tuple[str, str]] = {}
    for name in Settings.model_fields:
        for variable in mlflow_variables_of(name):
            value = environ.get(variable, "").strip()
            if value and name not in found and not value.startswith("tcp://"):
                found[name] = (variable, value)
    if "registry" in found:
        from penstock.registry import MLFLOW_STORE  # here, since it brings numpy along

        variable, value = found["registry"]
        ours = variable == TRACKING_VARIABLE or value.lower().startswith(("http://", "https://"))
        found["registry"] = (variable, value if ours else f"{MLFLOW_STORE}{value}")
    return found


def _read_file(file: Path | None) -> dict[str, Any]:
    path = file or Path(FILE_NAME)
    text = ""
    try:
        text = path.read_text(encoding="utf-8")
        content = tomllib.loads(text)
    except FileNotFoundError:
        if file is None:
            return {}
        raise ConfigError(f"There is no file {path}.") from None
    except tomllib.TOMLDecodeError as error:
        raise not_toml(path, text, error) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {error}.") from None
    unknown = sorted(content.keys() - Settings.model_fields.keys())
    if unknown:
        near = nearest(unknown[0], Settings.model_fields)
        raise ConfigError(
            f"{path} holds unknown settings: {', '.join(unknown)}.{f' Did you mean {near}?' if near else ''}",
            hint="The documentation lists every setting.",
            remedy=remedy("list_settings"),
        )
    return from_here(path, content)


def _read_variables(environ: Mapping[str, str]) -> dict[str, Any]:
    """Empty variables count as unset, as Kubernetes and shells leave them; so does the PENSTOCK_PORT=tcp://… that
    Kubernetes sets in every pod beside a service of our name (PENSTOCK_ADMIN_PORT for one called penstock-admin)."""
    found = {name: environ.get(variable_of(name), "") for name in Settings.model_fields}
    values: dict[str, Any] = {name: value for name, value in found.items() if value}
    for name in ("port", "admin_port"):
        if str(values.get(name, "")).startswith("tcp://"):
            del values[name]
    if "models" in values:
        values["models"] = tuple(values["models"].split())
    return values
