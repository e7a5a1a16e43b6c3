"""What a person may name as a place of runs and models, and what is taken for one by mistake.

A name without a scheme is a directory. So an address that lacks its scheme, and a directory that MLflow keeps its own
files in, would become an empty store without a word.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from urllib.parse import unquote

from penstock.errors import ConfigError, remedy

DATABASE_FILE = "registry.db"
ARTIFACT_DIRECTORY = "artifacts"

# Two letters at least in a scheme: "C:\models" is a path.
_WRONG_SEPARATOR = re.compile(r"(https?|sqlite|postgres(?:ql)?)(:/?(?!/)|//)(.*)", re.IGNORECASE | re.DOTALL)
_HOST_AND_PORT = re.compile(r"(?::?//)?(?:[^/@]*@)?((?:[\w.-]+|\[[0-9a-fA-F:.]+\]):\d{1,5}(?:[/?#].*)?)", re.DOTALL)
_DATABRICKS = re.compile(r"(databricks(?:-uc)?|uc)(?::.*)?", re.IGNORECASE | re.DOTALL)
_USE = "Use a directory{named}, sqlite:///path.db, postgresql://…, or http://… for a hub or an MLflow server."


def refuse_mistyped(place: str) -> None:
    """Raises ConfigError for an address without its scheme, a URL that lacks its colon or a slash, and a workspace of
    Databricks. A directory of such a name is meant where it begins with `./`. No password is repeated."""
    if _DATABRICKS.fullmatch(place) and place.lower() != "uc":
        raise ConfigError(
            f"{place.partition(':')[0]!r} names a Databricks workspace, which Penstock does not support.",
            hint=_USE.format(named=" (./databricks for one of that name)" if ":" not in place else ""),
        )
    if (wrong := _WRONG_SEPARATOR.fullmatch(place)) is not None:
        scheme, rest = wrong[1].lower(), wrong[3].lstrip("/")
        slashes = "://" if scheme != "sqlite" else ":////" if wrong[2] == ":/" else ":///"
        meant = f"{scheme}{slashes}{rest[:200] if rest and '@' not in rest else '…'}"
        raise ConfigError(
            f"A URL lacks a colon or a slash after {wrong[1]}: did you mean {meant}?", hint=_USE.format(named="")
        )
    if (address := _HOST_AND_PORT.fullmatch(place)) is not None:
        meant = address[1][:200]
        named = "" if "/" in place or "@" in place else f" (./{place} for one of that name)"
        raise ConfigError(
            f"{meant!r} has no scheme: did you mean http://{meant}?",
            hint=_USE.format(named=named),
        )


def directory_of(place: str) -> str:
    """A `file:` URL as a path; anything else as it is."""
    return unquote(place[5:]).removeprefix("//") if place.startswith("file:") else place


def refuse_what_is_no_store(directory: Path) -> None:
    """Of an embedded store. Raises ConfigError for a file, and for a directory of MLflow's file store."""
    if directory.is_file():
        raise ConfigError(
            f"{directory} is a file, but an embedded store is a directory.",
            hint=f"For a SQLite file, write sqlite:///{directory}",
        )
    if is_mlflows_file_store(directory):
        raise held_by_mlflow(str(directory), "a directory of MLflow's file store")


def is_mlflows_file_store(directory: Path) -> bool:
    """Whether MLflow keeps runs in a directory, and no store of ours is there. Others, too, call a file meta.yaml."""
    if (directory / DATABASE_FILE).exists():
        return False
    try:
        return any(_is_of_an_experiment(meta) for meta in directory.glob("*/meta.yaml"))
    except OSError:
        return False  # what cannot be listed is told by whoever opens it


def held_by_mlflow(place: str, what: str) -> ConfigError:
    """Nothing of ours is written into what is MLflow's own."""
    return ConfigError(
        f"{place} is {what}, which is not written to here.",
        hint=f"Name another place; penstock hub import {place} brings over what this one holds.",
        remedy=remedy("import_store", source=place),
    )


def artifacts_beside(store: str) -> str:
    """The directory in which a store keeps files unless they are elsewhere: in the store's directory, or beside the
    file of a SQLite database. Empty for a database on a server, which has none."""
    store = directory_of(store)
    if "://" not in store:
        return f"{store.rstrip('/')}/{ARTIFACT_DIRECTORY}"
    scheme, _, path = store.partition(":///")
    if scheme.lower() != "sqlite" or not path:
        return ""
    return os.path.join(os.path.dirname(os.path.abspath(path)), ARTIFACT_DIRECTORY)


def _is_of_an_experiment(meta: Path) -> bool:
    if meta.parent.name.isdigit():
        return True
    with meta.open("rb") as file:
        return b"experiment_id:" in file.read(65_536)
