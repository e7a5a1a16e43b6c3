"""Requests of MLflow's registry REST, and a player that asks them of any server: recorded from MLflow's own, replayed
to the hub.

`{RUN}`, `{MODEL}` and `{PLACE}` stand for a run, a logged model of it, and where its files are; `{TOKEN}` for the page
token of the answer before.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

# Method, path below the API, fields.
Request = tuple[str, str, dict[str, Any]]

# Asks a server: method, path, query, content -> status and body.
Ask = Callable[[str, str, Any, Any], Awaitable[tuple[int, str]]]

_RM, _MV = "registered-models/", "model-versions/"
_BAD_NAMES: tuple[Any, ...] = ("", "a/b", "a:b", " ", ".", None)

REQUESTS: list[Request] = [
    # Models.
    ("POST", _RM + "create", {"name": "fraud"}),
    ("POST", _RM + "create", {"name": "fraud"}),
    *(("POST", _RM + "create", {"name": name}) for name in _BAD_NAMES),
    ("POST", _RM + "create", {"name": "churn", "description": "who leaves", "tags": [{"key": "team", "value": "crm"}]}),
    ("POST", _RM + "create", {"name": "twice", "tags": [{"key": "a", "value": "1"}, {"key": "a", "value": "2"}]}),
    ("POST", _RM + "create", {"name": "Prüfung (2) %"}),
    ("GET", _RM + "get", {"name": "fraud"}),
    ("GET", _RM + "get", {"name": "churn"}),
    ("GET", _RM + "get", {"name": "absent"}),
    ("GET", _RM + "get", {}),
    ("PATCH", _RM + "update", {"name": "fraud", "description": "found"}),
    ("PATCH", _RM + "update", {"name": "absent", "description": "found"}),
    ("PATCH", _RM + "update", {"name": "twice"}),
    ("POST", _RM + "rename", {"name": "twice", "new_name": "thrice"}),
    ("POST", _RM + "rename", {"name": "thrice", "new_name": "fraud"}),
    ("POST", _RM + "rename", {"name": "absent", "new_name": "x"}),
    ("POST", _RM + "rename", {"name": "thrice"}),
    ("POST", _RM + "rename", {"name": "thrice", "new_name": "a/b"}),
    ("GET", _RM + "get", {"name": "twice"}),
    # Tags of models.
    ("POST", _RM + "set-tag", {"name": "fraud", "key": "owner", "value": "risk"}),
    ("POST", _RM + "set-tag", {"name": "fraud", "key": "empty"}),
    ("POST", _RM + "set-tag", {"name": "fraud", "value": "risk"}),
    ("POST", _RM + "set-tag", {"name": "absent", "key": "a", "value": "b"}),
    ("POST", _RM + "set-tag", {"name": "fraud", "key": "k" * 251, "value": "b"}),
    ("DELETE", _RM + "delete-tag", {"name": "fraud", "key": "empty"}),
    ("DELETE", _RM + "delete-tag", {"name": "fraud", "key": "never"}),
    ("DELETE", _RM + "delete-tag", {"name": "absent", "key": "never"}),
    ("GET", _RM + "get", {"name": "fraud"}),
    # Versions.
    ("POST", _MV + "create", {"name": "fraud", "source": "models:/{MODEL}", "model_id": "{MODEL}"}),
    ("POST", _MV + "create", {"name": "fraud", "source": "mlflow-artifacts:/{PLACE}", "run_id": "{RUN}"}),
    (
        "POST",
        _MV + "create",
        {
            "name": "fraud",
            "source": "runs:/{RUN}/model",
            "run_id": "{RUN}",
            "run_link": "http://x/r",
            "description": "third",
            "tags": [{"key": "git", "value": "4f2c"}],
        },
    ),
    ("POST", _MV + "create", {"name": "fraud", "source": "s3://bucket/model"}),
    ("POST", _MV + "create", {"name": "churn", "source": "models:/fraud/1"}),
    ("POST", _MV + "create", {"name": "churn", "source": "models:/fraud/3", "run_id": "{RUN}"}),
    ("POST", _MV + "create", {"name": "absent", "source": "s3://bucket/model"}),
    ("POST", _MV + "create", {"name": "fraud"}),
    ("POST", _MV + "create", {"source": "s3://bucket/model"}),
    *(
        ("POST", _MV + "create", {"name": "fraud", "source": source, "run_id": "{RUN}"})
        for source in (
            "/etc/passwd",
            "file:///etc/passwd",
            "relative",
            "s3://bucket/../x",
            "s3://bucket/%2e%2e/x",
            "s3://bucket/a%00",
            "mlflow-artifacts:/../x",
            "mlflow-artifacts:/0/other/artifacts",
            "runs:/00000000000000000000000000000000/model",
            "models:/m-00000000000000000000000000000000",
            "models:/absent/1",
            "models:/fraud/99",
            "http://localhost:1/x",
        )
    ),
    ("POST", _MV + "create", {"name": "fraud", "source": "models:/{MODEL}"}),
    ("POST", _MV + "create", {"name": "fraud", "source": "runs:/{RUN}/model"}),
    *(("GET", _MV + "get", {"name": "fraud", "version": v}) for v in ("1", "2", "3", "4", "99", "x", "0", "-1", "")),
    ("GET", _MV + "get", {"name": "absent", "version": "1"}),
    ("GET", _MV + "get", {"name": "churn", "version": "1"}),
    *(("GET", _MV + "get-download-uri", {"name": "fraud", "version": v}) for v in ("1", "2", "3", "4", "99", "x")),
    ("GET", _MV + "get-download-uri", {"name": "churn", "version": "1"}),
    ("PATCH", _MV + "update", {"name": "fraud", "version": "1", "description": "the first"}),
    ("PATCH", _MV + "update", {"name": "fraud", "version": "99", "description": "x"}),
    ("PATCH", _MV + "update", {"name": "fraud", "version": "x", "description": "x"}),
    ("POST", _MV + "set-tag", {"name": "fraud", "version": "1", "key": "stage", "value": "a ü"}),
    ("POST", _MV + "set-tag", {"name": "fraud", "version": "99", "key": "a", "value": "b"}),
    ("POST", _MV + "set-tag", {"name": "fraud", "version": "x", "key": "a", "value": "b"}),
    ("POST", _MV + "set-tag", {"name": "fraud", "version": "1", "value": "b"}),
    ("DELETE", _MV + "delete-tag", {"name": "fraud", "version": "1", "key": "never"}),
    ("DELETE", _MV + "delete-tag", {"name": "fraud", "version": "99", "key": "never"}),
    # Stages.
    ("POST", _MV + "transition-stage", {"name": "fraud", "version": "1", "stage": "Production"}),
    (
        "POST",
        _MV + "transition-stage",
        {"name": "fraud", "version": "2", "stage": "production", "archive_existing_versions": True},
    ),
    ("POST", _MV + "transition-stage", {"name": "fraud", "version": "3", "stage": "Staging"}),
    ("POST", _MV + "transition-stage", {"name": "fraud", "version": "3", "stage": "Nowhere"}),
    ("POST", _MV + "transition-stage", {"name": "fraud", "version": "99", "stage": "Staging"}),
    ("POST", _MV + "transition-stage", {"name": "fraud", "version": "1"}),
    (
        "POST",
        _MV + "transition-stage",
        {"name": "fraud", "version": "1", "stage": "None", "archive_existing_versions": True},
    ),
    ("GET", _RM + "get-latest-versions", {"name": "fraud"}),
    ("POST", _RM + "get-latest-versions", {"name": "fraud", "stages": ["Production", "staging"]}),
    ("GET", _RM + "get-latest-versions", {"name": "fraud", "stages": "None"}),
    ("GET", _RM + "get-latest-versions", {"name": "thrice"}),
    ("GET", _RM + "get-latest-versions", {"name": "absent"}),
    ("GET", _RM + "get-latest-versions", {"name": "fraud", "stages": "Nowhere"}),
    ("GET", _RM + "get", {"name": "fraud"}),
    # Aliases.
    ("POST", _RM + "alias", {"name": "fraud", "alias": "champion", "version": "1"}),
    ("POST", _RM + "alias", {"name": "fraud", "alias": "champion", "version": "2"}),
    ("POST", _RM + "alias", {"name": "fraud", "alias": "canary", "version": "2"}),
    *(
        ("POST", _RM + "alias", {"name": "fraud", "alias": alias, "version": "2"})
        for alias in ("latest", "LATEST", "v1", "V22", "a b", "", "a" * 256)
    ),
    ("POST", _RM + "alias", {"name": "fraud", "alias": "x", "version": "99"}),
    ("POST", _RM + "alias", {"name": "fraud", "alias": "x", "version": "x"}),
    ("POST", _RM + "alias", {"name": "absent", "alias": "x", "version": "1"}),
    ("GET", _RM + "alias", {"name": "fraud", "alias": "champion"}),
    ("GET", _RM + "alias", {"name": "fraud", "alias": "latest"}),
    ("GET", _RM + "alias", {"name": "thrice", "alias": "latest"}),
    ("GET", _RM + "alias", {"name": "fraud", "alias": "absent"}),
    ("GET", _RM + "alias", {"name": "absent", "alias": "champion"}),
    ("GET", _RM + "alias", {"name": "fraud"}),
    ("GET", _RM + "get", {"name": "fraud"}),
    ("GET", _MV + "get", {"name": "fraud", "version": "2"}),
    ("DELETE", _RM + "alias", {"name": "fraud", "alias": "canary"}),
    ("DELETE", _RM + "alias", {"name": "fraud", "alias": "canary"}),
    ("DELETE", _RM + "alias", {"name": "absent", "alias": "canary"}),
    # Searches.
    ("GET", _RM + "search", {}),
    ("GET", _RM + "search", {"filter": "name LIKE 'f%'"}),
    ("GET", _RM + "search", {"filter": "tags.team = 'crm' AND tag.`mlflow.prompt.is_prompt` != 'true'"}),
    ("GET", _RM + "search", {"filter": "name = 'nobody'"}),
    ("GET", _RM + "search", {"filter": "name ~ 'x'"}),
    ("GET", _RM + "search", {"order_by": ["name DESC"]}),
    ("GET", _RM + "search", {"order_by": ["size"]}),
    ("GET", _RM + "search", {"max_results": 2}),
    ("GET", _RM + "search", {"max_results": 2, "page_token": "{TOKEN}"}),
    ("GET", _RM + "search", {"max_results": 1001}),
    ("GET", _MV + "search", {"order_by": ["name ASC", "version_number ASC"]}),
    ("GET", _MV + "search", {"filter": "name = 'fraud'", "order_by": ["version_number DESC"], "max_results": 3}),
    (
        "GET",
        _MV + "search",
        {"filter": "name = 'fraud'", "order_by": ["version_number DESC"], "max_results": 3, "page_token": "{TOKEN}"},
    ),
    ("GET", _MV + "search", {"filter": "run_id = '{RUN}'", "order_by": ["name ASC", "version_number ASC"]}),
    ("GET", _MV + "search", {"filter": "source_path = 's3://bucket/model'"}),
    ("GET", _MV + "search", {"filter": "tags.git = '4f2c'", "order_by": ["name ASC"]}),
    ("GET", _MV + "search", {"filter": "nonsense"}),
    ("GET", _MV + "search", {"max_results": 200_001}),
    # Deleting.
    ("DELETE", _MV + "delete", {"name": "fraud", "version": "2"}),
    ("DELETE", _MV + "delete", {"name": "fraud", "version": "2"}),
    ("DELETE", _MV + "delete", {"name": "fraud", "version": "x"}),
    ("GET", _RM + "alias", {"name": "fraud", "alias": "champion"}),
    ("GET", _MV + "get", {"name": "fraud", "version": "2"}),
    ("DELETE", _MV + "delete", {"name": "fraud", "version": "4"}),
    ("POST", _MV + "create", {"name": "fraud", "source": "s3://bucket/model"}),
    ("GET", _RM + "get", {"name": "fraud"}),
    ("DELETE", _RM + "delete", {"name": "fraud"}),
    ("DELETE", _RM + "delete", {"name": "fraud"}),
    ("GET", _RM + "get", {"name": "fraud"}),
    ("GET", _RM + "search", {"order_by": ["name ASC"]}),
]


async def play(ask: Ask) -> list[dict[str, Any]]:
    """Asks all requests in turn; each answer with what differs from run to run replaced."""
    run = json.loads((await ask("POST", "runs/create", None, {"experiment_id": "0", "start_time": 1}))[1])
    run_id = run["run"]["info"]["run_id"]
    made = await ask("POST", "logged-models", None, {"experiment_id": "0", "name": "model", "source_run_id": run_id})
    model_id = json.loads(made[1])["model"]["info"]["model_id"]
    known = {"{RUN}": run_id, "{MODEL}": model_id, "{PLACE}": f"0/{run_id}/artifacts/model", "{TOKEN}": ""}
    played = []
    for method, path, fields in REQUESTS:
        filled = _replaced(fields, known)
        query, content = (filled, None) if method == "GET" else (None, filled)
        status, body = await ask(method, path, query, content)
        try:
            answer = json.loads(body)
        except ValueError:
            answer = {"no JSON": True}
        known["{TOKEN}"] = str(answer.get("next_page_token", ""))
        played.append({"request": [method, path, fields], "status": status, "answer": plain(answer, run_id, model_id)})
    return played


def plain(answer: Any, run_id: str, model_id: str, key: str = "") -> Any:
    """Ids by their names, times as a word, lists of pairs in order; of an error its code alone."""
    if isinstance(answer, dict):
        if "error_code" in answer:
            return {"error_code": answer["error_code"]}
        return {name: plain(value, run_id, model_id, name) for name, value in answer.items()}
    if isinstance(answer, list):
        found = [plain(value, run_id, model_id) for value in answer]
        unordered = key in ("tags", "aliases", "latest_versions")
        return sorted(found, key=lambda each: json.dumps(each, sort_keys=True)) if unordered else found
    if key.endswith("_timestamp") and isinstance(answer, int):
        return "a time" if answer > 1_500_000_000_000 else answer
    if key == "next_page_token":
        return "a token"
    if isinstance(answer, str):
        return answer.replace(run_id, "{RUN}").replace(model_id, "{MODEL}")
    return answer


def _replaced(value: Any, known: dict[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: _replaced(each, known) for key, each in value.items() if each is not None}
    if isinstance(value, list):
        return [_replaced(each, known) for each in value]
    if isinstance(value, str):
        for name, text in known.items():
            value = value.replace(name, text)
    return value
