"""Models with settings of their own: a table [models.NAME] of the file for each, or for a pattern of names.

What is said of one model there wins over what is said of all, wherever that was said: the narrower statement counts.
"""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from penstock.config.refusals import no_such_key
from penstock.config.settings import Settings, per_model_settings
from penstock.errors import ConfigError, PenstockError
from penstock.payload import shortened

Origins = dict[str, str]  # setting -> where its value came from


class ServerSettings(Settings):
    """The settings, and what the file says of single models: for each name, its own values as the file has them."""

    own: Mapping[str, Mapping[str, Any]] = {}

    def of(self, model: str) -> Settings:
        everybody = {name: getattr(self, name) for name in Settings.model_fields}
        own = {key: value for table in self.tables_of(model) for key, value in self.own[table].items()}
        return Settings(**{**everybody, **own})

    def tables_of(self, model: str) -> list[str]:
        """The tables that are about a model, the one that wins last: its own, and before it those of patterns."""
        return sorted((t for t in self.own if t == model or fnmatchcase(model, t)), key=lambda t: t == model)


def origins_of(model: str, settings: ServerSettings, origins: Origins) -> Origins:
    """For each of a model's settings where its value came from."""
    found = {name: origins[name] for name in per_model_settings()}
    for table in settings.tables_of(model):
        found |= dict.fromkeys(settings.own[table], f"[models.{table}]")
    return found


def in_table(path: Path, model: str) -> str:
    return f"{path}, [models.{model}]"


def take_tables(path: Path, content: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The models' own settings, by name. Where `models` is a table of them, it becomes the list that it stands for."""
    tables = content.get("models")
    if not isinstance(tables, dict):
        return {}
    content["models"] = tuple(_entry(path, name, table) for name, table in tables.items())
    return {name: {key: value for key, value in table.items() if key != "model"} for name, table in tables.items()}


def _entry(path: Path, name: str, table: Any) -> str:
    """A checked table as NAME=MODEL. Raises ConfigError, which names the file, the model and the key."""
    from penstock.registry import check_name  # here, since it brings numpy along
    from penstock.registry.references import is_pattern, parse_reference

    where = in_table(path, name)
    if not isinstance(table, dict):
        raise ConfigError(
            f"{path}: models.{name} is not a table.", hint=f'Write a line [models.{name}], and under it model = "…".'
        )
    allowed = per_model_settings()
    for key in table.keys() - {"model", *allowed}:
        if key in Settings.model_fields:
            message = f"{where}: {key} applies to the whole server and cannot be set for one model."
            raise ConfigError(message, hint="Move the setting above the first table.")
        raise no_such_key(where, key, allowed)
    model = table.get("model", name)
    if not isinstance(model, str):
        raise ConfigError(
            f"{where}: model cannot be {shortened(model)}.", hint='Write the model as text: "models:/fraud@x".'
        )
    try:
        if is_pattern(name):
            if parse_reference(text := model, patterns=True).name != name:
                raise ConfigError(
                    f"{model} does not match the pattern of its table, {name}.",
                    hint=f'Write model = "models:/{name}@…".',
                )
        else:
            check_name(name)
            parse_reference(text := f"{name}={model}")
    except PenstockError as error:
        raise ConfigError(f"{where}: {error.message}", hint=error.hint) from None
    return text
