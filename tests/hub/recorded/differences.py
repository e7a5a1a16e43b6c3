"""How the hub's answers differ from MLflow's: each kind by the sentence that docs/hub.md has for it."""

from __future__ import annotations

import re
from typing import Any

from hub.recorded.player import Asked

_FAILS = "Where MLflow's server fails with a 5xx"
_PAGES = "answers of paths and methods that do not exist are JSON"
_DROPS = "MLflow drops a value of the wrong type, and all that follows it in the body"
_PLACE = "The field of an error is named with its place"
_CODES = "BAD_REQUEST is said with a code that tells more"
_WORDS = "The words of errors are the hub's own"

Answer = list[Any]


def difference(request: Asked, ours: Answer, theirs: Answer) -> str:
    """The sentence for it; empty where nothing may explain it."""
    (status, answer), (their_status, their_answer) = ours, theirs
    failed = isinstance(answer, list)
    told = answer[1] if failed and len(answer) > 1 else ""
    if their_status >= 500 and status < 500:
        return _FAILS
    if status == their_status >= 400 and their_answer == "no JSON":
        return _PAGES
    if their_status == 200 and status == 400 and (told.startswith("Invalid value") or request.wrong):
        return _DROPS
    if not failed or not isinstance(their_answer, list) or status != their_status or status < 400:
        return _one(request)
    if their_answer[0] == "BAD_REQUEST":
        return _CODES
    if answer[0] != their_answer[0]:
        return _one(request)
    if not request.wrong:
        return _WORDS
    return _PLACE if re.search(rf"\b{request.wrong}'$", told) else _one(request)


def _one(request: Asked) -> str:
    """Of a call that the hub takes otherwise on purpose."""
    return next((name for form, name in _ONE_BY_ONE if re.search(form, str(request))), "")


_ONE_BY_ONE = (
    (r"^POST experiments/create .*twice|^POST runs/create .*twice", "Of two values for one tag the last one stays"),
    (r"artifact_location.*\.\./x", "`..` is refused in the location of an experiment, whatever its scheme"),
    (r"artifact_location.*nonsense:", "A location of a kind that the hub does not know is refused"),
    (r"^(GET|POST) experiments/search .*(filter|max_results)", "A search of experiments needs no `max_results`"),
    (r"^POST experiments/search .*name.*name", "No search is ordered by one field twice"),
    (r"^POST runs/create .*mlflow.user", "The tag `mlflow.user` names the user of a run"),
    (r"^POST runs/create .*long tag|^POST logged-models .*params", "Values that are too long are cut in every call"),
    (r"^POST runs/log-metric .*model_id", "A point for a logged model that does not exist is kept for the run"),
    (r"^POST runs/outputs", "An output that is logged again gets the step of the last time"),
    (r"^POST runs/search .*dataset", "A search of runs tells the models that a run was given"),
    (r"^POST logged-models .*(nnnn|kkkk)", "Names and tags of logged models have the lengths that others have"),
    (r"^(PATCH|POST) logged-models/\{", "The id of a logged model is taken from the path"),
    (r"^POST logged-models/\{THREE\}/params", "A param of a logged model that is logged again is replaced"),
    (r"^POST logged-models/search .*datasets", "A dataset without a digest stands for all of its name"),
    (r"^DELETE logged-models", "A logged model is deleted once, and then is 404"),
    (r"^POST runs/search .*(filter\": \" \"|metrics\. <|\[\" metrics)", "What differs in searches"),
    (r"^GET /api/2.0/mlflow-artifacts/.*/sub", "Errors about files have the form that all errors have"),
    (r"^GET /get-artifact\?path", "A missing field is a 400 in every call"),
    (r"^DELETE /api/2.0/mlflow-artifacts", "A file is deleted once, and then is 404"),
    (r"^GET runs/get .*RUN", "A list of models that a run logged is kept without spaces"),
    (r"^GET artifacts/list", "An empty file has a size, 0"),
)
