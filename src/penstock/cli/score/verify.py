"""`penstock score --verify-against URL`: whether a live endpoint answers the first rows as the files will be scored."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from penstock.errors import ConfigError, ScoringError
from penstock.payload import Payload, Table, Tensors, clipped

if TYPE_CHECKING:
    from penstock.scoring import PreparedJob

_ROWS = 64
_SECONDS = 30


def verify_against(url: str, prepared: PreparedJob) -> str:
    """A line that says the endpoint agrees. Raises ScoringError, which names the first difference.

    The rows are sent as the model takes them; PENSTOCK_API_TOKEN is sent along where it is set.
    """
    from penstock.package import answers_differ
    from penstock.signature.gaps import with_pandas_gaps
    from penstock.wire.mlflow.answers import answer_value

    if not url.startswith(("http://", "https://")):
        raise ConfigError(f"--verify-against {url} is not an http:// or https:// URL.")
    target = url if "/invocations" in url else f"{url.rstrip('/')}/invocations"
    rows = prepared.first_payload(_ROWS)
    if not rows.rows:
        raise ScoringError("None of the first rows can be scored, so the endpoint was not checked.")
    task = prepared.task
    given = with_pandas_gaps(rows, task.schema) if task.frames else rows
    ours = answer_value(prepared.model.predictor.predict(given, task.params))
    body = _body(rows) | ({"params": dict(task.params)} if task.params else {})
    theirs = _ask(target, body)
    if different := answers_differ(ours, theirs, where=""):
        raise ScoringError(
            f"{target} answers differently: {different}.", hint="Does the endpoint serve the same version?"
        )
    return f"{target} answers the first {rows.rows} rows the same."


def _body(rows: Payload) -> dict[str, Any]:
    from penstock.wire.mlflow.answers import as_json_value, rows_of

    if isinstance(rows, Table):
        data = {"data": rows_of(rows)}
        return {"dataframe_split": data if rows.names is None else {"columns": list(rows.names), **data}}
    assert isinstance(rows, Tensors)
    return {"inputs": as_json_value(rows)}


def _ask(url: str, body: dict[str, Any]) -> Any:
    from penstock.wire.mlflow.answers import dump_json

    headers = {"content-type": "application/json"}
    if token := os.environ.get("PENSTOCK_API_TOKEN"):
        headers["authorization"] = f"Bearer {token}"
    try:
        with urlopen(Request(url, dump_json(body), headers), timeout=_SECONDS) as answer:  # the user's URL
            return json.loads(answer.read())["predictions"]
    except HTTPError as error:
        text = clipped(error.read(500).decode(errors="replace"))
        raise ScoringError(f"{url} answered {error.code}: {text}.") from None
    except (URLError, OSError) as error:
        raise ScoringError(f"{url} cannot be reached: {getattr(error, 'reason', error)}.") from None
    except (ValueError, KeyError, TypeError):
        raise ScoringError(f"{url} did not answer with predictions.") from None
