"""A package's example as pages and command lines show it: a few rows, as JSON that every reader takes.

What stands in a package may be thousands of rows long, hold the words NaN and Infinity, which are no JSON, or be
broken. Whoever shows several packages must not fail because of one of them: nothing here raises.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from penstock.errors import InputError, PenstockError, SchemaViolation
from penstock.manifest import Manifest
from penstock.package.example import INPUT, SERVING_INPUT, Example
from penstock.package.packaged import PackagedModel
from penstock.package_file import EXAMPLE_LIMIT
from penstock.payload import kind_and_text
from penstock.signature import conform, conform_params
from penstock.sizes import shown_size
from penstock.wire.budget import Budget
from penstock.wire.mlflow.answers import answer_text, dump_json
from penstock.wire.mlflow.invocations import ENVELOPES, decode_json, is_unwrapped, parse_json, rows_under

# What is longer is of no help to anybody, and no argument that a shell would pass on.
_MOST_BYTES = 64 * 1024

_WORD = re.compile(r"NaN|Infinity")


@dataclass(frozen=True, slots=True)
class ShownExample:
    """`request` is a body that the model takes: plain values; its text, where it holds NaN or Infinity and JSON would
    not say the same; or None where there is none to show. `answer` is the recorded answer to its rows, where
    `answered`. `problem` says what is wrong with the package's own example, empty where nothing is."""

    request: dict[str, Any] | str | None = None
    answer: Any = None
    answered: bool = False
    problem: str = ""


def show_example(package: PackagedModel, *, rows: int, limit: int = EXAMPLE_LIMIT) -> ShownExample:
    """The example with its first rows alone. A file of more than `limit` bytes is not read."""
    try:
        if (size := _size(package)) > limit:
            return _too_large(size)
        example = package.example()
        return ShownExample() if example is None else _shown(example, package.manifest, rows)
    except PenstockError as error:
        return ShownExample(problem=error.message)
    except Exception as error:  # what a stranger's file does to a reader is no reason to fail
        return ShownExample(problem=f"The package's example cannot be used: {kind_and_text(error, 200)}.")


def _too_large(size: int) -> ShownExample:
    return ShownExample(problem=f"The example is not shown, since it is large ({shown_size(size)}).")


def _size(package: PackagedModel) -> int:
    """The bytes of the file that the example is read from."""
    for name in (SERVING_INPUT, INPUT):
        try:
            return (package.path / name).stat().st_size
        except OSError:
            continue
    return 0


def _shown(example: Example, manifest: Manifest, rows: int) -> ShownExample:
    document = parse_json(example.body)
    total = example.payload.rows
    few = rows if total is not None and total > rows else None
    request = None if few is None else _request(_first_rows(document, few), manifest)
    if request is None:  # not every model takes fewer
        few, request = None, _request(document, manifest)
    if (size := len(request if isinstance(request, str) else dump_json(request))) > _MOST_BYTES:
        return _too_large(size)
    answer = example.expected
    if few is not None and isinstance(answer, Mapping) and isinstance(answer.get("predictions"), list):
        answer = {**answer, "predictions": answer["predictions"][:few]}
    return ShownExample(request, answer, example.has_expected)


def _first_rows(document: dict[str, Any], few: int) -> dict[str, Any]:
    """The same body with its first rows."""
    for envelope in ENVELOPES:
        if is_unwrapped(document) or not isinstance(rows_under(envelope, document.get(envelope)), (list, dict)):
            continue
        value = document[envelope]
        if envelope == "dataframe_split":
            lists = {key: value[key][:few] for key in ("index", "data") if isinstance(value.get(key), list)}
            return {**document, envelope: {**value, **lists}}
        if isinstance(value, dict):
            return {**document, envelope: {key: v[:few] if isinstance(v, list) else v for key, v in value.items()}}
        return {**document, envelope: value[:few]}
    return document


def _request(document: dict[str, Any], manifest: Manifest) -> dict[str, Any] | str | None:
    """The body with null for what is not finite where that is the same to the model, else its text. None where the
    model does not take it."""
    words = json.dumps(document)
    try:
        meant = _meaning(words.encode(), manifest)
    except InputError:
        return None
    if _WORD.search(words) is None:
        return document
    plain = dump_json(_without_words(document))
    try:
        same = _meaning(plain, manifest) == meant
    except InputError:
        same = False
    return parse_json(plain) if same else words


def _without_words(document: dict[str, Any]) -> dict[str, Any]:
    """The same without params that are not finite, which are mostly the defaults, and have no null."""
    params = document.get("params")
    if not isinstance(params, dict) or is_unwrapped(document):
        return document
    kept = {name: value for name, value in params.items() if _is_finite(value)}
    return {**{key: value for key, value in document.items() if key != "params"}, **({"params": kept} if kept else {})}


def _meaning(body: bytes, manifest: Manifest) -> tuple[str, str]:
    """What the model is handed for this body, rows and params, as texts to compare. Raises InputError."""
    signature = manifest.signature
    decoded = decode_json(body, signature, Budget.of_json(len(body)))
    conformed = conform(decoded.payload, signature.enforced if signature else None, decoded.casting)
    if conformed.violations:
        raise SchemaViolation(conformed.violations)
    return answer_text(conformed.payload), str(conform_params(signature.params if signature else (), decoded.params))


def _is_finite(value: Any) -> bool:
    if isinstance(value, list):
        return all(map(_is_finite, value))
    return not isinstance(value, float) or math.isfinite(value)
