"""The sources that a command line means: files, directories, patterns, `-`, and URLs of all but the last."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from typing import BinaryIO

from penstock.errors import ConfigError
from penstock.scoring.file_formats import format_of, needed_format
from penstock.scoring.plan import Source
from penstock.storage.files import file_store_of

_PATTERN = re.compile(r"[*?\[]")


def find_sources(inputs: Sequence[str], format_: str | None = None) -> tuple[Source, ...]:
    """Every input as files, in the order given, each directory's and pattern's files sorted by name.

    `format_` overrides what the endings say. Raises ConfigError where there is nothing, or nothing to tell a format by.
    """
    found = [source for text in inputs for source in _expand(text, format_)]
    paths = [source.path for source in found]
    if twice := sorted({path for path in paths if paths.count(path) > 1} if len(set(paths)) < len(paths) else ()):
        raise ConfigError(f"{twice[0]} is given twice.")
    return tuple(found)


def _expand(text: str, format_: str | None) -> list[Source]:
    if text == "-":
        return [Source("-", needed_format("-", format_, "input_format"))]
    place = file_store_of(text)
    if (there := place.describe(text)) is not None and not place.is_directory(text):
        return [Source(text, needed_format(text, format_, "input_format"), *there)]
    if place.is_directory(text):
        files = place.files(text)
        # Other files often lie in such a directory: with no word on the format, those of known endings are meant.
        paths = [path for path in files if format_ is not None or format_of(path) is not None]
        if not paths:
            what = "the directory is empty"
            if files:
                what = f"none of its {len(files)} files has a file extension that tells its format"
            raise ConfigError(f"There is nothing to score in {text}: {what}.")
    elif _PATTERN.search(text):
        hidden = text.rsplit("/", 1)[-1].startswith("_")
        paths = [p for p in place.matches(text) if hidden or not p.rsplit("/", 1)[-1].startswith("_")]
        if not paths:
            raise ConfigError(f"No file matches {text}.")
    else:
        raise ConfigError(f"There is no file {text}.")
    return [
        Source(path, needed_format(path, format_, "input_format"), *(place.describe(path) or (None, "")))
        for path in paths
    ]


def open_bytes(path: str) -> BinaryIO:
    """A source's bytes; `-` is standard input. Raises ScoringError."""
    if path == "-":
        return open(sys.stdin.fileno(), "rb", closefd=False)
    return file_store_of(path).open(path)
