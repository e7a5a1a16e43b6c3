"""Writes helm/schema/kubernetes.json: the definitions of Kubernetes' own types that values of the chart may have.

build/services/python/bin/python tests/services/kubernetes_types.py     (after make services-tools)
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

VERSION = "1.31.0"
SCHEMA = Path(__file__).parents[2] / "helm" / "schema"
PREFIX = "io.k8s.api."
# What Kubernetes checks beyond its schemas.
ENUMS = {
    f"{PREFIX}core.v1.Toleration": {
        "operator": ["Exists", "Equal"],
        "effect": ["NoSchedule", "PreferNoSchedule", "NoExecute"],
    },
    f"{PREFIX}core.v1.TopologySpreadConstraint": {"whenUnsatisfiable": ["DoNotSchedule", "ScheduleAnyway"]},
    f"{PREFIX}apps.v1.DeploymentStrategy": {"type": ["Recreate", "RollingUpdate"]},
    f"{PREFIX}core.v1.HTTPGetAction": {"scheme": ["HTTP", "HTTPS"]},
}
QUANTITY = {
    "oneOf": [
        {"type": "string", "pattern": r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+|[numkMGTPE]|[KMGTPE]i)?$"},
        {"type": "number"},
    ]
}


def plain(schema: Any, *, names: bool = False) -> Any:
    """As draft-07 without descriptions, and without null, which Helm takes as "not given"."""
    if isinstance(schema, dict):
        kept = {k: v for k, v in schema.items() if names or (k != "description" and not k.startswith("x-kubernetes"))}
        return {
            k: plain(v, names=k == "properties") if k != "$ref" else v.replace("$defs", "definitions")
            for k, v in kept.items()
        }
    if isinstance(schema, list):
        found = [plain(value) for value in schema if value != "null"]
        return found[0] if len(found) == 1 and "null" in schema else found
    return schema


def extract() -> dict[str, Any]:
    import kubernetes_validate

    place = Path(kubernetes_validate.__file__).parent / "kubernetes-json-schema" / f"v{VERSION}-local-strict"
    definitions = json.loads((place / "_definitions.json").read_text())["$defs"]
    found: dict[str, Any] = {}
    waiting = sorted(wanted(yaml.safe_load((SCHEMA / "own.yaml").read_text())))
    while waiting:
        name = waiting.pop()
        if name not in found:
            found[name] = plain(definitions[name])
            waiting += list(references(found[name]))
    for name, enums in ENUMS.items():
        for key, values in enums.items():
            found[name]["properties"][key] = {"enum": values}
    found["io.k8s.apimachinery.pkg.api.resource.Quantity"] = QUANTITY
    return dict(sorted(found.items()))


def wanted(schema: Any) -> set[str]:
    if isinstance(schema, dict):
        here = {PREFIX + schema["kubernetes"]} if "kubernetes" in schema else set()
        return here.union(*map(wanted, schema.values()))
    return set().union(*map(wanted, schema)) if isinstance(schema, list) else set()


def references(schema: Any) -> list[str]:
    if isinstance(schema, dict):
        here = [schema["$ref"].removeprefix("#/definitions/")] if isinstance(schema.get("$ref"), str) else []
        return here + [name for value in schema.values() for name in references(value)]
    return [name for value in schema for name in references(value)] if isinstance(schema, list) else []


if __name__ == "__main__":
    (SCHEMA / "kubernetes.json").write_text(
        json.dumps(extract(), separators=(",", ":")).replace('},"io.k8s', '},\n"io.k8s') + "\n"
    )
