"""The purposeful differences from MLflow's server, one by one. Anything else that differs is a fault.

Two more hold everywhere and are rules of the comparison itself: NaN and Infinity, which are not JSON, are null in our
answers, and of an error only the status and the error_code count, since MLflow's messages carry stack traces, the
caller's data and the whole schema.
"""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from io import StringIO
from typing import Any

import numpy as np

from contract.request_cells import about, cells_of, columns_of, content_type
from contract.requests import Request, body_of, headers_of, method_of, name_of, path_of

Answer = dict[str, Any]
Predicate = Callable[[str, Request, Answer, Answer], bool]

_WHOLE = {"integer": np.iinfo(np.int32), "long": np.iinfo(np.int64)}
_READ = ("application/json", "text/csv", "application/vnd.apache.parquet")


@dataclass(frozen=True)
class Difference:
    """`accounts_for` is given the package's name, the request, MLflow's answer and ours. `ends_when_exact` says that
    there is no such difference where every answer is to be MLflow's."""

    name: str
    reason: str
    accounts_for: Predicate
    ends_when_exact: bool = False


def _header(request: Request, name: str) -> str:
    return next((value for key, value in headers_of(request).items() if key.lower() == name), "")


def _is_error(answer: Answer) -> bool:
    """Whether it has our one shape of errors."""
    document = answer.get("json")
    if answer["status"] < 400 or not isinstance(document, dict):
        return False
    return list(document) in (["error_code", "message"], ["error_code", "message", "violations"])


def _no_content_type(package: str, request: Request, theirs: Answer, ours: Answer) -> bool:
    crashed = theirs["status"] == 500 and theirs.get("text") == "Internal Server Error"
    return method_of(request) == "POST" and not _header(request, "content-type") and crashed and ours["status"] != 500


def _lenient_content_type(package: str, request: Request, theirs: Answer, ours: Answer) -> bool:
    _, *parameters = _header(request, "content-type").split(";")
    utf8 = re.compile(r'\s*(charset\s*=\s*"?utf-?8"?)?\s*', re.IGNORECASE)
    harmless = content_type(request) in _READ and all(utf8.fullmatch(parameter) for parameter in parameters)
    return harmless and theirs["status"] == 415 and ours["status"] == 200


def _content_encoding(package: str, request: Request, theirs: Answer, ours: Answer) -> bool:
    """MLflow looks at neither the header nor what it says."""
    encoding = _header(request, "content-encoding").lower()
    if encoding in ("gzip", "deflate", "zstd") and theirs["status"] == 400 and ours["status"] == 200:
        return True
    return encoding not in ("", "identity") and theirs["status"] == 200 and ours["status"] in (400, 415)


def _overflow(package: str, request: Request, theirs: Answer, ours: Answer) -> bool:
    return _refused(theirs, ours) and any(_overflows(*cell) for cell in cells_of(package, request))


def _truncation(package: str, request: Request, theirs: Answer, ours: Answer) -> bool:
    return _refused(theirs, ours) and any(_has_fraction(*cell) for cell in cells_of(package, request))


def _refused(theirs: Answer, ours: Answer) -> bool:
    """By us; if by MLflow as well, then for something that it looks at later."""
    return theirs["status"] in (200, 400) and ours["status"] == 400


def _overflows(kind: str, value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        return False
    if kind == "float" or kind.startswith("tensor float"):
        dtype = np.float32 if kind == "float" else np.dtype(kind.split()[1])
        return abs(value) > float(np.finfo(dtype).max)
    limits = _limits(kind)
    return limits is not None and not limits.min <= value <= limits.max


def _has_fraction(kind: str, value: Any) -> bool:
    return isinstance(value, float) and math.isfinite(value) and value != int(value) and _limits(kind) is not None


def _limits(kind: str) -> Any:
    if kind.startswith("tensor"):
        dtype = np.dtype(kind.split()[1])
        return np.iinfo(dtype) if dtype.kind in "iu" else None
    return _WHOLE.get(kind)


def _boolean_words(package: str, request: Request, theirs: Answer, ours: Answer) -> bool:
    """Anything not empty is true to MLflow."""
    if theirs["status"] != 200:
        return False
    doubtful = [v for kind, v in cells_of(package, request) if kind in ("boolean", "tensor bool") and _doubtful(v)]
    readable = all(
        isinstance(value, str) and value.strip().lower() in ("true", "false", "0", "1") for value in doubtful
    )
    return bool(doubtful) and ours["status"] == (200 if readable else 400)


def _doubtful(value: Any) -> bool:
    """Neither missing nor true, false, 0 or 1."""
    return value is not None and not (isinstance(value, (bool, int, float)) and value in (0, 1))


def _one_error_shape(package: str, request: Request, theirs: Answer, ours: Answer) -> bool:
    """MLflow has plain text, and FastAPI's detail, beside its own shape."""
    document = theirs.get("json")
    shapeless = document is None or (isinstance(document, dict) and "error_code" not in document)
    ours_has_shape = _is_error(ours) or method_of(request) == "HEAD"
    return theirs["status"] >= 400 and theirs["status"] == ours["status"] and shapeless and ours_has_shape


def _accept(package: str, request: Request, theirs: Answer, ours: Answer) -> bool:
    wanted = _header(request, "accept")
    return (
        wanted == "text/csv"
        and theirs["status"] == 200
        and (ours["status"], ours["type"].split(";")[0]) == (200, wanted)
    )


def _more_paths(package: str, request: Request, theirs: Answer, ours: Answer) -> bool:
    asked, answered = path_of(request), {"/metrics": 200, "/models": 200, "/": 307}
    return asked in answered and theirs["status"] == 404 and ours["status"] == answered[asked]


def _head(package: str, request: Request, theirs: Answer, ours: Answer) -> bool:
    probes = ("/ping", "/health", "/version")
    asked = method_of(request) == "HEAD" and path_of(request) in probes
    return asked and theirs["status"] == 405 and ours["status"] == 200


def _version(package: str, request: Request, theirs: Answer, ours: Answer) -> bool:
    asked = (method_of(request), path_of(request)) == ("GET", "/version")
    return asked and ours["status"] == 200 and bool(re.fullmatch(r"\d+(\.\w+)+", ours.get("text", "")))


def _csv_moments(package: str, request: Request, theirs: Answer, ours: Answer) -> bool:
    """MLflow refuses the request for its signature, whatever is in it."""
    fields = about(package).inputs or []
    moments = content_type(request) == "text/csv" and any(field["type"] == "datetime" for field in fields)
    return moments and theirs["status"] == 400 and (ours["status"] == 200 or _is_error(ours))


# As both read it in every envelope, and MLflow only beside others of the same form.
_PLAIN_MOMENT = re.compile(r"(1[7-9]|20|21)\d{2}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}")
_ISO_MOMENT = re.compile(
    r"((1[7-9]|20|21)\d{2}-\d{2}-\d{2}|\d{8})([T ]\d{2}:\d{2}(:\d{2}([.]\d{1,9})?)?(Z|[+-]\d{2}:\d{2})?)?|NaN|null"
)


def _moments(package: str, request: Request, theirs: Answer, ours: Answer) -> bool:
    """MLflow takes numbers for nanoseconds and reads a text as pandas or numpy guesses it, one column in one form."""
    cells = [value for kind, value in cells_of(package, request) if kind == "datetime" and value is not None]
    doubtful = [value for value in cells if not (isinstance(value, str) and _PLAIN_MOMENT.fullmatch(value))]
    if ours["status"] == 400:
        return theirs["status"] == 200 and not all(isinstance(v, str) and _ISO_MOMENT.fullmatch(v) for v in doubtful)
    if "timestamp with zone" in name_of(request):
        return (theirs["status"], ours["status"]) == (400, 200)
    iso = bool(doubtful) and all(isinstance(v, str) and _ISO_MOMENT.fullmatch(v) for v in doubtful)
    return iso and ours["status"] == 200 and (theirs["status"] == 400 or "20240102" in doubtful)


def _csv_ragged_rows(package: str, request: Request, theirs: Answer, ours: Answer) -> bool:
    """pandas shifts columns, pads rows, or refuses the body, with or without MLflow's look at the signature."""
    if content_type(request) != "text/csv" or not _refused(theirs, ours):
        return False
    rows = [row for row in csv.reader(StringIO(body_of(request).decode(errors="replace"))) if row]
    return any(len(row) != len(rows[0]) for row in rows)


def _csv_whole_names(package: str, request: Request, theirs: Answer, ours: Answer) -> bool:
    """Names of columns that are whole numbers are text in a CSV's header, which MLflow does not find."""
    fields = about(package).inputs or []
    numbered = content_type(request) == "text/csv" and any(type(field.get("name")) is int for field in fields)
    return numbered and theirs["status"] == 400 and (ours["status"] == 200 or _is_error(ours))


def _csv_binary(package: str, request: Request, theirs: Answer, ours: Answer) -> bool:
    """MLflow decodes base64 in JSON alone."""
    fields = about(package).inputs or []
    binary = content_type(request) == "text/csv" and any(field["type"] == "binary" for field in fields)
    return binary and theirs["status"] == 200 and ours["status"] in (200, 400)


def _csv_cells(package: str, request: Request, theirs: Answer, ours: Answer) -> bool:
    """pandas judges a column as a whole: a gap or a 1 among true and false makes it text."""
    refused = theirs["status"] == 400 and "Failed to parse input" in str(theirs.get("json"))
    return content_type(request) == "text/csv" and refused and ours["status"] == 200


def _crash(package: str, request: Request, theirs: Answer, ours: Answer) -> bool:
    """Of a request that is at fault. What is beyond JSON in an answer stays a 500, what a model raises too."""
    crashed = theirs["status"] == 500 and (theirs.get("text") == "Internal Server Error" or package.startswith("hint"))
    return crashed and ours["status"] == 400 and _is_error(ours)


def _past_doubles(package: str, request: Request, theirs: Answer, ours: Answer) -> bool:
    past = re.search(rb"[0-9][eE]\+?[0-9]{3}|[0-9]{310}", body_of(request))
    return bool(past) and ours["status"] == 400 and theirs["status"] in (200, 400)


def _optional_columns(package: str, request: Request, theirs: Answer, ours: Answer) -> bool:
    """MLflow's model gets a frame without the column, and may not bear that; of text that is null in every row it gets
    None, and NaN in any other case."""
    optional = {str(f["name"]): f["type"] for f in about(package).inputs or [] if not f.get("required", True)}
    given = columns_of(package, request)
    gone = any(name not in given or _all_missing(given[name]) for name in optional)
    if optional and ours["status"] == 400 and "missing columns" in str(ours.get("json")):
        return bool(theirs["status"] == 200)  # to rows without any column of the model's
    return bool(optional) and gone and ours["status"] == 200 and theirs["status"] in (200, 400)


def _missing_booleans(package: str, request: Request, theirs: Answer, ours: Answer) -> bool:
    """Of null among booleans MLflow's model gets None, and ours NaN, as pandas has it in the files of training."""
    nulls = any(kind == "boolean" and value is None for kind, value in cells_of(package, request))
    parquet = request["kind"] == "parquet" and request["case"] in ("bool with null", "null", "null with null")
    nulls = nulls or (parquet and any(field["type"] == "boolean" for field in about(package).inputs or []))
    return nulls and (theirs["status"], ours["status"]) == (200, 200)


def _all_missing(cells: list[Any]) -> bool:
    return all(cell is None for cell in cells)


def _csv_arrays(package: str, request: Request, theirs: Answer, ours: Answer) -> bool:
    """MLflow refuses the request for its signature, whatever is in it."""
    fields = about(package).inputs or []
    arrays = content_type(request) == "text/csv" and [field["type"] for field in fields] == ["tensor"]
    return arrays and theirs["status"] == 400 and (ours["status"] == 200 or _is_error(ours))


def _missing_texts(package: str, request: Request, theirs: Answer, ours: Answer) -> bool:
    told = "a missing value cannot be str" in str(ours.get("json"))
    return told and b"null" in body_of(request) and _refused(theirs, ours)


def _more_formats(package: str, request: Request, theirs: Answer, ours: Answer) -> bool:
    arrow = content_type(request).startswith("application/vnd.apache.arrow.")
    return arrow and theirs["status"] == 415 and ours["status"] in (200, 400)


def _missing_text_for_onnx(package: str, request: Request, theirs: Answer, ours: Answer) -> bool:
    told = "has no form for a missing one" in str(ours.get("json"))
    return package.startswith("onnx") and told and theirs["status"] == 200 and ours["status"] == 400


def _text_for_onnx(package: str, request: Request, theirs: Answer, ours: Answer) -> bool:
    text = any(field["type"] == "string" for field in about(package).inputs or [])
    failed = "unexpected error while evaluating" in str(theirs.get("json"))
    return package.startswith("onnx") and text and failed and ours["status"] == 200


def _uuid(package: str, request: Request, theirs: Answer, ours: Answer) -> bool:
    return name_of(request).endswith(("uuid", "enum")) and theirs["status"] == 500 and ours["status"] == 200


DIFFERENCES = [
    Difference("no content type", "MLflow crashes; a body without a type is read as JSON.", _no_content_type),
    Difference(
        "lenient content type",
        "Types and charsets are case-insensitive, may be quoted, and end in a semicolon: HTTP says so.",
        _lenient_content_type,
    ),
    Difference(
        "content encoding", "Packed bodies are read, and an encoding that is not one is told.", _content_encoding
    ),
    Difference(
        "overflow",
        "MLflow wraps numbers that are too large, or makes them infinite, silently.",
        _overflow,
        ends_when_exact=True,
    ),
    Difference(
        "truncation",
        "MLflow drops the fraction of a number meant for a whole one, silently.",
        _truncation,
        ends_when_exact=True,
    ),
    Difference(
        "boolean words",
        'MLflow takes whatever is not empty for true, "false" also; we read it as meant.',
        _boolean_words,
        ends_when_exact=True,
    ),
    Difference("one error shape", "Every error is a JSON object with error_code and message.", _one_error_shape),
    Difference("accept", "An answer in another format is given to who asks for it.", _accept),
    Difference("more paths", "A gateway has metrics, a list of models, and a page that / leads to.", _more_paths),
    Difference("head", "Probes use HEAD.", _head),
    Difference("version", "Our own version is told.", _version),
    Difference("csv moments", "CSV and JSON agree on columns of datetimes.", _csv_moments),
    Difference(
        "moments",
        "MLflow reads numbers as nanoseconds, 03.04.2021 as the fourth of March, and the same text now so, now so.",
        _moments,
        ends_when_exact=True,
    ),
    Difference(
        "csv ragged rows",
        "Of rows with a cell too many or too few pandas shifts or pads columns, silently; they are refused.",
        _csv_ragged_rows,
        ends_when_exact=True,
    ),
    Difference(
        "csv whole names",
        "Columns whose names are whole numbers are found in a CSV as in JSON.",
        _csv_whole_names,
        ends_when_exact=True,
    ),
    Difference(
        "csv binary", "Base64 in a binary column is decoded in CSV as in JSON.", _csv_binary, ends_when_exact=True
    ),
    Difference(
        "csv arrays",
        "The columns of a CSV fill the one array that a model takes, as those of a file do.",
        _csv_arrays,
        ends_when_exact=True,
    ),
    Difference(
        "csv cells",
        "A column that pandas refuses is read cell by cell: CSV and JSON agree, and so do requests and files.",
        _csv_cells,
        ends_when_exact=True,
    ),
    Difference(
        "missing booleans",
        "Null among true and false is NaN, as pandas reads it from the files that models are fitted on.",
        _missing_booleans,
        ends_when_exact=True,
    ),
    Difference(
        "optional columns",
        "An optional column that is left out is gaps, as pandas has them; so is one of text that is null in every row, "
        "which is answered as it is beside other rows.",
        _optional_columns,
        ends_when_exact=True,
    ),
    Difference(
        "missing texts",
        'In arrays of text MLflow makes the word "None" or "nan" of a null, silently.',
        _missing_texts,
        ends_when_exact=True,
    ),
    Difference("crash", "MLflow's server breaks (500) over a request that is at fault; it is told why (400).", _crash),
    Difference(
        "past doubles",
        "1e999 is infinity to MLflow; a number that is no double is refused.",
        _past_doubles,
        ends_when_exact=True,
    ),
    Difference("more formats", "Bodies may be Arrow.", _more_formats),
    Difference(
        "missing text for ONNX",
        'MLflow has onnxruntime read a missing text as the word "None" or "nan", silently.',
        _missing_text_for_onnx,
    ),
    Difference(
        "text for ONNX",
        "With pandas 3 MLflow cannot feed text columns to a graph of several inputs; they are fed.",
        _text_for_onnx,
    ),
    Difference("uuid", "A UUID is answered as its text, an Enum as its value, where MLflow fails.", _uuid),
]
