"""A package's examples: the recorded input, ready to send, and the answer that was recorded with it."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from penstock.errors import AnswerUnserializable, InputError, PackageInvalid, PackagingFailed
from penstock.manifest import Manifest
from penstock.package_file import EXAMPLE_LIMIT, read_package_file
from penstock.payload import Params, Payload, Table, Tensors, Value
from penstock.signature import conform, conform_params
from penstock.signature.gaps import with_pandas_gaps
from penstock.wire.budget import Budget
from penstock.wire.mlflow.answers import as_json_value, dump_json, encode_answer, rows_of
from penstock.wire.mlflow.invocations import UNWRAPPED_KEYS, decode_json, parse_json

INPUT = "input_example.json"
SERVING_INPUT = "serving_input_example.json"
EXPECTED = "expected_output.json"

RELATIVE_TOLERANCE = 1e-4
ABSOLUTE_TOLERANCE = 1e-6


@dataclass(frozen=True, slots=True)
class Example:
    """A recorded request: the conformed payload, its params, the body as bytes, and the recorded answer, if any."""

    payload: Payload
    body: bytes
    params: Params = None
    expected: Any = None
    has_expected: bool = False


def read_example(directory: Path, manifest: Manifest) -> Example | None:
    """The example of a package, conformed to its signature; None where it has none. Raises PackageInvalid."""
    try:
        body = _serving_body(directory, manifest)
        return None if body is None else _read(body, directory, manifest)
    except InputError as error:
        raise _unusable(SERVING_INPUT if (directory / SERVING_INPUT).exists() else INPUT, error) from None
    except OSError as error:  # it was there a moment ago
        raise PackageInvalid(f"The package's example cannot be read: {error.strerror}.") from None


def _read(body: bytes, directory: Path, manifest: Manifest) -> Example:
    signature = manifest.signature
    decoded = decode_json(body, signature, Budget.of_json(len(body)))
    conformed = conform(decoded.payload, signature.enforced if signature else None, decoded.casting)
    if conformed.violations:
        raise PackageInvalid(f"The package's example does not fit its signature: {conformed.violations[0]}.")
    params = conform_params(signature.params if signature else (), decoded.params)
    # As those of a request, which pandas reads: a model that was fitted on pandas' own gaps knows no other.
    payload = with_pandas_gaps(conformed.payload, signature.enforced if signature else None)
    expected = directory / EXPECTED
    if not expected.exists():
        return Example(payload, body, params)
    recorded = _parse(expected)
    return Example(payload, body, params, _sendable(recorded), has_expected=True)


def _sendable(recorded: Any) -> Any:
    """A recorded answer as it would be sent, and is compared: what is not finite is null. Raises PackageInvalid."""
    try:
        return parse_json(dump_json(recorded))
    except AnswerUnserializable:
        raise _too_deep(EXPECTED) from None


def _parse(path: Path) -> Any:
    """A JSON file of the package, in which NaN and Infinity may stand as bare words. Raises PackageInvalid."""
    try:
        return parse_json(read_package_file(path, EXAMPLE_LIMIT))
    except InputError as error:
        raise _unusable(path.name, error) from None


def _unusable(name: str, error: InputError) -> PackageInvalid:
    """The error of whoever sends such a body, as that of the file which holds it."""
    return PackageInvalid(f"The package's example cannot be used: {error.message.replace('The body', name, 1)}")


def _too_deep(name: str) -> PackageInvalid:
    return PackageInvalid(f"The package's example cannot be used: {name} has values that are nested too deeply.")


def _serving_body(directory: Path, manifest: Manifest) -> bytes | None:
    """The request body; packages of MLflow before 2.17 have the bare input alone."""
    if (path := directory / SERVING_INPUT).exists():
        return read_package_file(path, EXAMPLE_LIMIT)
    if not (path := directory / INPUT).exists():
        return None
    bare = _parse(path)
    info = manifest.content.get("saved_input_example_info")
    kind = info.get("type") if isinstance(info, Mapping) else None
    if str(kind).startswith("sparse"):
        return None  # no request has that form
    if isinstance(bare, dict) and bare.keys() <= {"inputs", "params"} and "inputs" in bare:
        return _as_body(bare)
    if isinstance(bare, dict) and "data" in bare and (kind == "dataframe" or "columns" in bare):
        return _as_body({"dataframe_split": {key: bare[key] for key in ("columns", "data") if key in bare}})
    return _as_body({"inputs": bare})


def _as_body(document: dict[str, Any]) -> bytes:
    """The document with every number as it is: those that are not finite as MLflow writes them, in bare words. Raises
    PackageInvalid."""
    try:
        return json.dumps(document, separators=(",", ":")).encode()
    except RecursionError:
        raise _too_deep(INPUT) from None


def write_example(directory: Path, payload: Payload, params: dict[str, Any]) -> dict[str, Any]:
    """Writes both input files; returns the manifest's `saved_input_example_info`."""
    bare, body, kind = json_forms(payload)
    extra = {} if not params else params if body is bare else {"params": params}
    (directory / SERVING_INPUT).write_bytes(_json({**body, **extra}))
    (directory / INPUT).write_bytes(_json({"inputs": bare, "params": params} if params else bare))
    info: dict[str, Any] = {"artifact_path": INPUT, "serving_input_path": SERVING_INPUT, "type": kind}
    if kind == "dataframe":
        info["pandas_orient"] = "split"
    if params:
        info["params"] = "true"
    return info


def _json(value: Any) -> bytes:
    try:
        return dump_json(value)
    except AnswerUnserializable as error:
        reason = error.message.removeprefix("The model's answer ")
        raise PackagingFailed(f"The example cannot be sent as JSON: the example {reason}") from None


def json_forms(payload: Payload) -> tuple[Any, dict[str, Any], str]:
    """An input as MLflow stores it bare, as a request body, and the kind it has there.

    Chat-shaped objects are a body as they are.
    """
    if isinstance(payload, Value) and isinstance(payload.value, dict) and payload.value.keys() & set(UNWRAPPED_KEYS):
        return payload.value, payload.value, "json_object"
    if isinstance(payload, Table):
        split: dict[str, Any] = {"data": rows_of(payload)}
        if payload.names is not None:
            split = {"columns": list(payload.names), **split}
        return split, {"dataframe_split": split}, "dataframe"
    value = as_json_value(payload)
    return value, {"inputs": value}, "ndarray" if isinstance(payload, Tensors) else "json_object"


def record_expected(directory: Path, answer: Payload) -> None:
    """Keeps the model's answer to the example."""
    (directory / EXPECTED).write_bytes(encode_answer(answer))


def answers_differ(expected: Any, actual: Any, where: str = "predictions") -> str:
    """Where and how two JSON answers differ, or nothing: labels must be equal, floats within the tolerances."""
    if isinstance(expected, dict) and isinstance(actual, dict):
        if expected.keys() != actual.keys():
            return f"{where}: the keys differ ({', '.join(map(str, sorted(expected.keys() ^ actual.keys())))})"
        pairs = [(expected[k], actual[k], f"{where}.{k}" if where else str(k)) for k in expected]
    elif isinstance(expected, list) and isinstance(actual, list):
        if len(expected) != len(actual):
            return f"{where}: {len(expected)} items were recorded, {len(actual)} came"
        pairs = [(a, b, f"{where}[{i}]") for i, (a, b) in enumerate(zip(expected, actual, strict=True))]
    else:
        return "" if _same_cell(expected, actual) else f"{where}: {expected!r} was recorded, {actual!r} came"
    return next((found for a, b, place in pairs if (found := answers_differ(a, b, place))), "")


def _same_cell(expected: Any, actual: Any) -> bool:
    if isinstance(expected, float) and isinstance(actual, (int, float)) and not isinstance(actual, bool):
        return math.isclose(expected, actual, rel_tol=RELATIVE_TOLERANCE, abs_tol=ABSOLUTE_TOLERANCE)
    return bool(expected == actual) and isinstance(expected, bool) == isinstance(actual, bool)
