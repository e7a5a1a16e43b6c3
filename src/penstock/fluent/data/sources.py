"""Where data came from, in MLflow's words: a kind, and JSON that names the place."""

from __future__ import annotations

import json
import os
from typing import Any
from urllib.parse import urlsplit

from penstock.errors import TrackingInvalid
from penstock.fluent.context import context_tags


def source_of(source: Any = None) -> tuple[str, str]:
    """Of a path or a URL, or of a source object of MLflow's; of None it is the program itself. Raises
    TrackingInvalid."""
    if source is None:
        return "code", json.dumps({"tags": context_tags()})
    if hasattr(source, "to_json") and hasattr(source, "_get_source_type"):
        return str(source._get_source_type()), str(source.to_json())
    if not isinstance(source, (str, os.PathLike)):
        raise TrackingInvalid(
            f"{type(source).__name__} is no source of data.", hint="Give a path or a URL.", field="source"
        )
    place = os.fspath(source)
    scheme = urlsplit(place).scheme.lower()
    if scheme in ("http", "https"):
        return "http", json.dumps({"url": place})
    if len(scheme) < 2 or scheme == "file":  # a letter is a drive of Windows
        return "local", json.dumps({"uri": place})
    return scheme, json.dumps({"uri": place})
