"""Writes the chart's values.schema.json and the table in its README: python helm/make_chart_files.py

The schema has three sources: the settings as penstock.config declares them, helm/schema/own.yaml, and definitions of
Kubernetes' own types in helm/schema/kubernetes.json (which tests/services/kubernetes_types.py extracts).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from penstock import config

HERE = Path(__file__).parent
CHART = HERE / "penstock"
BEGIN, END = "<!-- values -->\n", "<!-- /values -->\n"
# Not among the chart's settings: models have a table of their own, tokens are in Secrets.
LEFT_OUT = frozenset({"models", "api_token", "tokens_file"})
# Settings that people write as 512MiB or 2GiB, or as bytes; pydantic declares what they become.
SIZES = frozenset({"cache_size", "max_package_size", "memory_limit", "reader_memory"})
SIZE = {"oneOf": [{"type": "integer", "minimum": 0}, {"type": "string", "pattern": "^([0-9]+ ?([KMGT]i?)?B?)?$"}]}
# Of the settings, those that templates compute with; all others may be left out.
NEEDED = ("host", "port", "drain_delay", "drain_timeout")
# A model's name, or a pattern of names.
_NAME = r"^[A-Za-z0-9_*?\[]([A-Za-z0-9_.\- *?!\[\]]{0,253}[A-Za-z0-9_.\-*?\]])?$"
_PREFIX = "io.k8s.api."
# Values of Kubernetes' own types: one row of the table each.
_WHOLE = ("strategy", "resources", "startupProbe", "readinessProbe", "livenessProbe", "podSecurityContext",
          "securityContext", "topologySpreadConstraints", "route.main.matches", "hub.resources", "hub.startupProbe",
          "hub.readinessProbe", "hub.livenessProbe", "hub.topologySpreadConstraints",
          "hub.route.main.matches")  # fmt: skip


def schema() -> dict[str, Any]:
    """The whole of values.schema.json."""
    own = yaml.safe_load((HERE / "schema" / "own.yaml").read_text())
    kubernetes = json.loads((HERE / "schema" / "kubernetes.json").read_text())
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    made = _group(own["properties"], values, frozenset(own["optional"]))
    made["properties"]["settings"] = {**_object(settings_properties()), "required": list(NEEDED)}
    made["properties"]["models"] = models_schema()
    made["required"] = sorted({*made["required"], "settings", "models"})
    whole = {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "Values of the Penstock chart",
        **made,
        "definitions": {name: _resolved(value) for name, value in own["definitions"].items()},
    }
    whole["definitions"].update({name: kubernetes[name] for name in sorted(_used(whole, kubernetes))})
    return whole


def settings_properties() -> dict[str, Any]:
    """Each setting's name, type, bounds and meaning; no default, since a left-out setting has the gateway's own."""
    declared = config.Settings.model_json_schema()["properties"]
    return {name: _setting(name, declared[name]) for name in config.Settings.model_fields if name not in LEFT_OUT}


def models_schema() -> dict[str, Any]:
    everybodys = settings_properties()
    own = {name: everybodys[name] for name in config.per_model_settings()}
    model = {"type": "string", "minLength": 1, "description": "MODEL, as on the command line; default: the name."}
    one = _object({"model": model, **own})
    return {"type": "object", "propertyNames": {"pattern": _NAME}, "additionalProperties": one}


def _setting(name: str, declared: dict[str, Any]) -> dict[str, Any]:
    """Without what only pydantic says, and without null, which Helm takes as "not given" before any check."""
    if name in SIZES:
        number, text = SIZE["oneOf"]
        number = {**number, "minimum": declared.get("minimum", 0)}
        declared = {"oneOf": [number, text], "description": declared["description"]}
    elif "anyOf" in declared:
        kinds = [kind for kind in declared["anyOf"] if kind != {"type": "null"}]
        alone = kinds[0] if len(kinds) == 1 else {"anyOf": kinds}
        declared = {**alone, **{key: value for key, value in declared.items() if key != "anyOf"}}
    return {key: value for key, value in declared.items() if key not in ("title", "default", "mlflow", "format")}


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "additionalProperties": False}


def _group(
    properties: dict[str, Any], values: dict[str, Any], optional: frozenset[str], path: str = ""
) -> dict[str, Any]:
    """An object of the chart's own. A word stands for a definition; a map that is no schema is a group in turn."""
    open_ = properties.get("open", False)
    made = {}
    for name, said in properties.items():
        if name == "open":
            continue
        if isinstance(said, str):
            made[name] = {"$ref": f"#/definitions/{said}"}
        elif _is_schema(said):
            made[name] = _resolved(said)
        else:
            made[name] = _group(said, values[name], optional, f"{path}{name}.")
    required = sorted(name for name in values if name in made and f"{path}{name}" not in optional)
    return {**_object(made), "additionalProperties": open_, "required": required}


def _is_schema(said: dict[str, Any]) -> bool:
    return bool(said.keys() & {"kubernetes", "enum", "oneOf", "anyOf", "$ref"}) or isinstance(
        said.get("type"), str | list
    )


def _resolved(said: Any) -> Any:
    """`kubernetes: core.v1.Toleration` as the reference that it means."""
    if isinstance(said, dict):
        if "kubernetes" in said:
            return {"$ref": f"#/definitions/{_PREFIX}{said['kubernetes']}"}
        return {key: _resolved(value) for key, value in said.items()}
    return [_resolved(value) for value in said] if isinstance(said, list) else said


def references(said: Any) -> Iterator[str]:
    """The definitions that a schema names."""
    if isinstance(said, dict):
        for key, value in said.items():
            if key == "$ref":
                yield value.removeprefix("#/definitions/")
            else:
                yield from references(value)
    elif isinstance(said, list):
        for value in said:
            yield from references(value)


def _used(whole: dict[str, Any], kubernetes: dict[str, Any]) -> set[str]:
    found: set[str] = set()
    waiting = [name for name in references(whole) if name in kubernetes]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += references(kubernetes[name])
    return found


def values_table() -> str:
    """values.yaml as a table: a value's comment is the one right above it, a heading the one with lines around it."""
    lines, rows = (CHART / "values.yaml").read_text().splitlines(), []
    path: list[tuple[int, str]] = []
    comment: list[str] = []
    defaults = yaml.safe_load("\n".join(lines))
    for number, line in enumerate(lines):
        text = line.strip()
        if text.startswith("#  "):
            continue  # an example
        if text.startswith("# "):
            comment.append(text[2:])
        elif not text:
            if comment and number > len(comment) and not lines[number - len(comment) - 1]:
                rows += ["", f"### {' '.join(comment)}", "", "| value | default | meaning |", "|---|---|---|"]
            comment = []
        elif ":" in text and not text.startswith(("#", "- ")):
            depth, name = len(line) - len(line.lstrip()), text.partition(":")[0]
            path = [(d, n) for d, n in path if d < depth] + [(depth, name)]
            names = [n for _, n in path]
            value = _value_at(defaults, names)
            inside = any(_value_at(defaults, names[:i]) is None for i in range(1, len(names)))
            if not inside and (comment or not isinstance(value, dict) or not value) and not _within_a_type(names):
                group = isinstance(value, dict) and ".".join(names) not in _WHOLE
                meaning = " ".join(comment).replace("|", "/")
                rows.append(f"| `{'.'.join(names)}` | {_shown('' if group else value)} | {meaning} |")
            comment = []
    return "\n".join(rows).lstrip("\n") + "\n"


def _value_at(values: Any, names: list[str]) -> Any:
    for name in names:
        if not isinstance(values, dict) or name not in values:
            return None
        values = values[name]
    return values


def _within_a_type(names: list[str]) -> bool:
    return ".".join(names).startswith(tuple(f"{name}." for name in _WHOLE))


def _shown(value: Any) -> str:
    if value in ("", [], {}, None):
        return ""
    return f"`{value if isinstance(value, str) else json.dumps(value)}`"


def readme() -> str:
    """The chart's README with its table made anew."""
    text = (CHART / "README.md").read_text()
    head, rest = text.split(BEGIN, 1)
    return head + BEGIN + "\n" + values_table() + "\n" + END + rest.split(END, 1)[1]


if __name__ == "__main__":
    (CHART / "values.schema.json").write_text(json.dumps(schema(), indent=1, ensure_ascii=False) + "\n")
    (CHART / "README.md").write_text(readme())
