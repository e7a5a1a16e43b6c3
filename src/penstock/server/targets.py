"""The paths that predictions are asked of, and which model and version each of them asks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

from penstock.http.routes import PathMatcher

# What a path names of model and version; both where they are left out mean the default.
Target: TypeAlias = Mapping[str, str]

# The paths: of the default model, of a model, of one of its versions.
DEFAULT_INVOCATIONS = "/invocations"
MODEL_INVOCATIONS = "/models/{name}/invocations"
VERSION_INVOCATIONS = "/models/{name}/versions/{version}/invocations"
INVOCATION_PATHS = (DEFAULT_INVOCATIONS, MODEL_INVOCATIONS, VERSION_INVOCATIONS)

# Beside each of them: what the version takes and gives.
SIGNATURE_PATHS = tuple(f"{path.removesuffix('/invocations')}/signature" for path in INVOCATION_PATHS)

# Which model and version a path asks predictions of: `name` and `version`, as far as it names them. None for any other
# path.
invocation_target = PathMatcher(*INVOCATION_PATHS).match
