"""Asks any server a list of requests, and tells its answers without what differs from run to run.

`{NAME}` in a request stands for an id that an earlier answer gave, `{TOKEN}` for the last page token.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

API = "/api/2.0/mlflow/"

# Asks a server: method, path, query, body, content type -> status and body.
Ask = Callable[[str, str, Any, "bytes | None", str], Awaitable[tuple[int, str]]]

_ID = re.compile(r"\b(m-)?[0-9a-f]{32}\b")
_RANDOM_NAME = re.compile(r"[a-z]+-[a-z]+-\d+")
_TOLD = re.compile(
    r"(Invalid value .{0,200}? for parameter '[^']*'|Missing value for required parameter '[^']*')", re.S
)
_UNORDERED = frozenset({"tags", "params", "aliases", "dataset_inputs", "model_inputs", "model_outputs", "files"})
_LONGEST = 80
_FIRST_TIME = 1_700_000_000_000


@dataclass(frozen=True, slots=True)
class Asked:
    """`fields` are the query of a GET and the JSON of a body otherwise, unless `body` is given as it is sent. The id
    that the answer gives is kept as `keep`. `wrong` is the field that is not as it should be."""

    method: str
    path: str
    fields: Any = None
    keep: str = ""
    body: bytes | None = None
    kind: str = "application/json"
    wrong: str = ""

    def __str__(self) -> str:
        content = self.body.decode("latin-1") if self.body is not None else json.dumps(self.fields, ensure_ascii=False)
        shown = content if len(content) <= 150 else f"{content[:100]}… ({len(content)})"
        return f"{self.method} {self.path} {shown}" + ("" if self.kind == "application/json" else f" ({self.kind})")


async def play(requests: Sequence[Asked], ask: Ask) -> list[dict[str, Any]]:
    known: dict[str, str] = {}
    played = []
    for each in requests:
        fields = _filled(each.fields, known)
        query, body = (fields, None) if each.method == "GET" else (None, each.body)
        if each.method != "GET" and each.body is None and each.fields is not None:
            body = json.dumps(fields).encode()
        path = _filled(each.path, known)
        status, text = await ask(each.method, path if path[0] == "/" else API + path, query, body, each.kind)
        try:
            answer = json.loads(text)
        except ValueError:
            answer = f"no JSON: {text}" if status < 400 and len(text) < 200 else "no JSON"
        if each.keep:
            known[each.keep] = _id_of(answer)
        if isinstance(answer, dict) and "next_page_token" in answer:
            known["TOKEN"] = str(answer["next_page_token"])
        names = {value: name for name, value in known.items() if value}
        played.append({"asked": str(each), "status": status, "answer": _plain(answer, names)})
    return played


def _id_of(answer: Any) -> str:
    """Of what was made; empty where nothing was."""
    if not isinstance(answer, dict):
        return ""
    if "experiment_id" in answer:
        return str(answer["experiment_id"])
    made = answer.get("run") or answer.get("model") or {}
    info = made.get("info", {})
    return str(info.get("run_id") or info.get("model_id") or "")


def _plain(answer: Any, names: dict[str, str], key: str = "") -> Any:
    if isinstance(answer, dict):
        if "error_code" in answer:
            told = _TOLD.search(str(answer.get("message", "")))
            return [answer["error_code"], *(told.groups() if told else ())]
        kept = {name: value for name, value in sorted(answer.items()) if not _is_void(name, value)}
        return {
            name: _plain(value, names, f"{key}.{name}" if name == "metrics" else name) for name, value in kept.items()
        }
    if isinstance(answer, list):
        found = [_plain(value, names, key.removesuffix("s")) for value in answer]
        unordered = key in _UNORDERED or key == "data.metrics"  # histories have an order
        if key == ".metrics":  # those of several runs come by the ids of these, which nobody chooses
            found.sort(key=lambda each: str(each.get("run_id")))
        return sorted(found, key=lambda each: json.dumps(each, sort_keys=True)) if unordered else found
    if isinstance(answer, float) and math.isnan(answer):
        return "NaN"
    if isinstance(answer, int) and not isinstance(answer, bool) and answer > _FIRST_TIME and "time" in key:
        return "a time"
    if not isinstance(answer, str):
        return answer
    if key == "next_page_token":
        return "a token"
    if key in ("run_name", "name", "value") and _RANDOM_NAME.fullmatch(answer):
        return "a random name"
    if key == "version" and answer.isdecimal():
        return answer if answer == "1" else "a number"
    if key == "experiment_id":
        return names.get(answer, answer if answer == "0" else "an id")
    answer = re.sub(r"^mlflow-artifacts:/[1-9]\d*", "mlflow-artifacts:/EXPERIMENT", answer)
    for value, name in names.items():
        if len(value) > 30:
            answer = answer.replace(value, f"{{{name}}}")
    answer = _ID.sub("an id", answer)
    return answer if len(answer) <= _LONGEST else f"{answer[:10]}… ({len(answer)})"


def _is_void(name: str, value: Any) -> bool:
    """What says nothing: the workspace of a server without any, and an empty description."""
    return name == "workspace" or (name == "description" and value == "")


def _filled(value: Any, known: dict[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: _filled(each, known) for key, each in value.items()}
    if isinstance(value, list):
        return [_filled(each, known) for each in value]
    if isinstance(value, str) and "{" in value:
        for name, text in known.items():
            value = value.replace(f"{{{name}}}", text)
    return value
