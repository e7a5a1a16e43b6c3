"""What names and values may be: MLflow's limits, checked where a write is made.

The limits are those of MLflow 3.18 (`mlflow/utils/validation.py`): long values of params and of run tags are cut, as
MLflow does by default; anything else that does not fit raises TrackingInvalid, which names the field.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Sized

from penstock.errors import TrackingInvalid

MAX_KEY = 250
MAX_PARAM_VALUE = 6000
MAX_TAG_VALUE = 8000
MAX_EXPERIMENT_TAG_VALUE = 20_000
MAX_EXPERIMENT_NAME = 500
MAX_ARTIFACT_LOCATION = 2048
MAX_RUN_ID = 256
MAX_LOGGED_MODEL_NAME = 500
_NOT_IN_MODEL_NAMES = frozenset("/:.%\"'")
MAX_MODEL_ID = 36
MAX_DATASET_NAME = 500
MAX_DATASET_DIGEST = 36
MAX_DATASET_SOURCE = 65_535
MAX_DATASET_SCHEMA = 1_048_575
MAX_DATASET_PROFILE = 16_777_215
MAX_BATCH_METRICS = 1000
MAX_BATCH_PARAMS = 100
MAX_BATCH_TAGS = 100
MAX_BATCH_ENTRIES = 1000
MIN_STEP, MAX_STEP = -(2**63), 2**63 - 1

# Most keys are of these alone and of no special form: one look settles that they may be.
_PLAIN_KEY = re.compile(r"[A-Za-z0-9_\-:]{1,250}")
_KEY = re.compile(r"[\w.\- /:]*")
_RUN_ID = re.compile(rf"[A-Za-z0-9][\w\-]{{0,{MAX_RUN_ID - 1}}}")


def check_key(kind: str, key: str) -> str:
    """A key of a param, metric or tag: letters, digits, `_`, `-`, `.`, `:`, spaces and `/`, as a normal path."""
    if _PLAIN_KEY.fullmatch(key):
        return key
    if not key:
        raise TrackingInvalid(f"The {kind} has no name.", field="key")
    if not _KEY.fullmatch(key):
        raise TrackingInvalid(
            f"{_shown(key)} is not a name for a {kind}.",
            hint="Names may only contain letters, digits, underscores, dashes, periods, spaces, colons and slashes.",
            field="key",
        )
    if posixpath.normpath(key) != key or key == "." or key.startswith(("..", "/")):
        raise TrackingInvalid(
            f"{_shown(key)} is not a name for a {kind}.",
            hint="Names are treated as paths, so a name has to be a normal, relative path without '..'.",
            field="key",
        )
    if len(key) > MAX_KEY:
        raise TrackingInvalid(
            f"The {kind} name {_shown(key)} has {len(key)} characters, of which {MAX_KEY} are allowed.", field="key"
        )
    return key


def check_logged_model_name(name: str) -> None:
    """Empty where one is to be made up. MLflow's clients take a name apart at these characters."""
    check_length("name", name, MAX_LOGGED_MODEL_NAME)
    if bad := sorted(set(name) & _NOT_IN_MODEL_NAMES):
        raise TrackingInvalid(
            f"Invalid model name ({_shown(name)}): the name of a logged model has none of / : . % and quotes, "
            f"and this one has {' '.join(bad)}",
            field="name",
        )


def check_run_id(run_id: str) -> str:
    if not _RUN_ID.fullmatch(run_id):
        raise TrackingInvalid(f"{_shown(run_id)} is not a run ID.", field="run_id")
    return run_id


def check_length(field: str, value: str, limit: int) -> str:
    """Raises where the value is longer than `limit` characters."""
    if len(value) > limit:
        raise TrackingInvalid(f"{field} has {len(value)} characters, of which {limit} are allowed.", field=field)
    return value


def check_step(step: int) -> int:
    if not MIN_STEP <= step <= MAX_STEP:
        raise TrackingInvalid(f"The step {step} is not a 64-bit integer.", field="step")
    return step


def check_count(field: str, entries: Sized, limit: int) -> None:
    count = len(entries)
    if count > limit:
        raise TrackingInvalid(f"A batch of {count} {field} is too large: {limit} are allowed.", field=field)


def _shown(text: str) -> str:
    """A name in a message, not all of a long one."""
    return repr(text if len(text) <= 60 else f"{text[:60]}…")
