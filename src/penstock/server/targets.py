"""What the head of a request for predictions says: which model it asks, and the id it goes by."""

from __future__ import annotations

import secrets
from itertools import count

from penstock.http.routes import PathMatcher

# The paths that predictions are asked of: of the default model, of a model, of one of its versions.
DEFAULT_INVOCATIONS = "/invocations"
MODEL_INVOCATIONS = "/models/{name}/invocations"
VERSION_INVOCATIONS = "/models/{name}/versions/{version}/invocations"
INVOCATION_PATHS = (DEFAULT_INVOCATIONS, MODEL_INVOCATIONS, VERSION_INVOCATIONS)

# Which model and version a path asks predictions of: `name` and `version`, as far as it names them. None for any other
# path.
invocation_target = PathMatcher(*INVOCATION_PATHS).match

_ALLOWED_IN_ID = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.:/+=@")

# Ids of our own: a random beginning for the process, then a count.
_PROCESS_ID = secrets.token_hex(4).encode()
_numbers = count()


def request_id(given: bytes | None) -> bytes:
    """The caller's X-Request-Id where it is harmless, else a new one."""
    if given and len(given) <= 128 and _ALLOWED_IN_ID.issuperset(given):
        return given
    return b"%s%08x" % (_PROCESS_ID, next(_numbers))
