"""What is wrong with a settings file, in words that say what to write instead."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path

from penstock.errors import ConfigError

# What others call the place of a model.
_OTHER_NAMES = frozenset(
    {"path", "uri", "model_uri", "url", "source", "package", "directory", "dir", "location", "name"}
)

_LIST = re.compile(r"^[ \t]*models[ \t]*=", re.MULTILINE)
_TABLE = re.compile(r"^[ \t]*\[", re.MULTILINE)
_MODELS_TABLE = re.compile(r"^[ \t]*\[[ \t]*models[ \t]*[.\]]", re.MULTILINE)
_TWICE = re.compile(r"Cannot declare \((.+?),?\) twice (\(at [^)]*\))")


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that a misspelt one is most like."""
    return next(iter(get_close_matches(name, list(known), 1)), None)


def no_such_key(where: str, key: str, allowed: Iterable[str]) -> ConfigError:
    """For a key in a model's table that no setting has: `model`, which says what is served, is the likeliest."""
    known = ["model", *allowed]
    near = "model" if key.lower() in _OTHER_NAMES else nearest(key, known)
    if near == "model":
        meant = 'What is served is named with model = "…". '
    else:
        meant = f"Did you mean {near}? " if near else ""
    return ConfigError(
        f"{where}: there is no setting {key}.", hint=f"{meant}Settings that a model may have: {', '.join(known)}."
    )


def not_toml(path: Path, text: str, error: tomllib.TOMLDecodeError) -> ConfigError:
    """A file that is no TOML. What its reader calls declared twice is most often two ways to name models."""
    tables = _TABLE.search(text)
    head = text[: tables.start()] if tables else text
    if _LIST.search(head) and _MODELS_TABLE.search(text):
        return ConfigError(
            f"{path} has both models = … and a table of models: it is one or the other.",
            hint='Instead of the list, write a table for each model, [models.NAME], with a line model = "…" in it '
            "where that is not the name.",
        )
    if twice := _TWICE.match(str(error)):
        name = ".".join(re.findall(r"'([^']*)'", twice[1]))
        return ConfigError(f"{path} has the table [{name}] twice {twice[2]}.", hint="Put all its lines into one.")
    return ConfigError(f"{path} cannot be read: {error}.", hint="The file is TOML: correct it at that place.")
