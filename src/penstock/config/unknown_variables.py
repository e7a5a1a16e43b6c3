"""Variables that look like Penstock's and that nothing reads: mostly a setting that is misspelt, whose default then
holds without a word."""

from __future__ import annotations

import re
from collections.abc import Mapping
from difflib import get_close_matches

from penstock.config.settings import PREFIX, Settings, variable_of

# What is read besides the settings: where they are, what single commands take, and the tests of a checkout.
_OTHERS = (
    "CONFIG", "HUB_ALLOWED_HOSTS", "HUB_HOST", "HUB_OPEN_TO_EVERYBODY", "HUB_PORT", "STORE", "USER",
    "HUB_ADMIN_TOKEN", "HUB_PROMOTE_TOKEN", "HUB_READ_TOKEN", "HUB_WORKERS", "HUB_WRITE_TOKEN",
    "SPOOL", "SPOOL_MB", "TRACKING_URI",
)  # fmt: skip
_OF_TESTS = f"{PREFIX}TEST_"

# Kubernetes sets these in every pod beside a service whose name begins with ours (penstock, penstock-canary). A port
# that is the service's has a scheme. Source: Kubernetes, "Service", environment variables.
_OF_SERVICES = re.compile(
    rf"{PREFIX}(?:[A-Z0-9_]+_)?"
    r"(?:SERVICE_HOST|SERVICE_PORT(?:_[A-Z0-9_]+)?|PORT_[0-9]+_(?:TCP|UDP|SCTP)(?:_(?:PROTO|PORT|ADDR))?)"
)
_PORT_OF_SERVICE = re.compile(rf"{PREFIX}(?:[A-Z0-9_]+_)?PORT")
_SCHEMES = ("tcp://", "udp://", "sctp://")


def unknown_variables(environ: Mapping[str, str]) -> list[str]:
    """A sentence for each of them, with the known one that is nearest. Empty ones count as unset."""
    known = {variable_of(name).removeprefix(PREFIX) for name in Settings.model_fields} | {*_OTHERS}
    found = []
    for name, value in sorted(environ.items()):
        rest = name.upper().removeprefix(PREFIX)
        if not value or rest == name.upper() or name in {f"{PREFIX}{one}" for one in known} or _is_foreign(name, value):
            continue
        near = get_close_matches(rest, known, 1)
        hint = f"did you mean {PREFIX}{near[0]}?" if near else "no setting has a name like it."
        found.append(f"The variable {name} means nothing: {hint}")
    return found


def _is_foreign(name: str, value: str) -> bool:
    """Whether it is a service's, or for the tests of a checkout."""
    port = _PORT_OF_SERVICE.fullmatch(name) is not None and value.startswith(_SCHEMES)
    return port or _OF_SERVICES.fullmatch(name) is not None or name.startswith(_OF_TESTS)
