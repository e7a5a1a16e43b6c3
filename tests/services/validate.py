"""Run by build/services' Python: what `kubernetes-validate --strict` says of objects, without a process for each.

One line of JSON in, {"version": "1.31", "objects": […]}, one out: a list of errors. The schemas are read once.
"""

from __future__ import annotations

import functools
import json
import sys
from typing import Any

import kubernetes_validate.utils as library

library.schema_contents = functools.cache(library.schema_contents)

# Kinds that other schemas are for: chart.custom_errors.
CUSTOM = ("ServiceMonitor", "PrometheusRule", "ScaledObject", "HTTPRoute")


def errors(version: str, objects: list[dict[str, Any]]) -> list[str]:
    found = []
    for each in objects:
        name = f"{each['kind']} {each['metadata']['name']}"
        try:
            library.validate(each, version, strict=True)
        except library.SchemaNotFoundError:
            if each["kind"] not in CUSTOM:
                found.append(f"{name}: Kubernetes {version} has no such kind")
        except library.ValidationError as error:
            found.append(f"{name}: {'.'.join(map(str, error.path))}: {error.message}")
    return found


for line in sys.stdin:
    print(json.dumps(errors(**json.loads(line))), flush=True)
