"""The chart's schema, values and README say what the settings are. What helm makes of it: services/test_chart.py."""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

import penstock
from penstock.config import Settings, per_model_settings
from penstock.metrics import Metrics

HELM = Path(__file__).parent.parent / "helm"
CHART = HELM / "penstock"
SCHEMA = json.loads((CHART / "values.schema.json").read_text())
VALUES = yaml.safe_load((CHART / "values.yaml").read_text())


@pytest.fixture(scope="module")
def maker() -> Any:
    spec = importlib.util.spec_from_file_location("make_chart_files", HELM / "make_chart_files.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_schema_is_up_to_date(maker: Any) -> None:
    assert maker.schema() == SCHEMA, "make docs"


def test_the_readme_is_up_to_date(maker: Any) -> None:
    assert maker.readme() == (CHART / "README.md").read_text(), "make docs"


def test_the_chart_is_of_this_release() -> None:
    assert yaml.safe_load((CHART / "Chart.yaml").read_text())["appVersion"] == penstock.__version__


def test_settings_are_those_of_the_gateway_but_for_models_and_secrets() -> None:
    settings = SCHEMA["properties"]["settings"]
    assert settings["properties"].keys() == Settings.model_fields.keys() - {"models", "api_token", "tokens_file"}
    assert settings["additionalProperties"] is False
    assert VALUES["settings"].keys() <= settings["properties"].keys()


@pytest.mark.parametrize("name", sorted(SCHEMA["properties"]["settings"]["properties"]))
def test_a_setting_has_the_type_and_bounds_that_the_gateway_checks(name: str) -> None:
    """Asked of the gateway itself, value by value: the schema takes what the gateway takes."""
    schema = SCHEMA["properties"]["settings"]["properties"][name]
    assert "default" not in schema
    if "oneOf" in schema:
        least = schema["oneOf"][0]["minimum"]
        for size in (least, least + 1024, str(least), "512MiB", "2GiB"):
            assert allowed(schema, size)
            Settings.model_validate({name: size})
        assert not any(allowed(schema, each) for each in (True, least - 1, -1, "two", 0.5))
        return
    candidates = [
        True,
        False,
        -1,
        0,
        1,
        2,
        257,
        1023,
        1024,
        65535,
        65536,
        0.5,
        1.0,
        "x",
        "plain",
        "debug",
        "local",
        [],
        {},
    ]
    for value in candidates:
        if allowed(schema, value):
            validated = getattr(Settings(**{name: value}), name)
            validated = list(validated) if isinstance(validated, tuple) else validated
            assert validated == value or str(validated) == str(value), (name, value)
        elif not isinstance(value, str) and isinstance(value, bool) == (schema.get("type") == "boolean"):
            with pytest.raises(ValueError):
                Settings.model_validate({name: value}, strict=True)


def allowed(schema: dict[str, Any], value: Any) -> bool:
    """What draft-07 says, of the few words that settings use."""
    if "anyOf" in schema or "oneOf" in schema:
        return any(allowed(each, value) for each in schema.get("anyOf", schema.get("oneOf", ())))
    kinds: dict[str, Any] = {"string": str, "integer": int, "number": (int, float), "boolean": bool, "array": list}
    if "type" in schema and not isinstance(value, kinds[schema["type"]]):
        return False
    if isinstance(value, bool) and schema.get("type") != "boolean":
        return False
    if "enum" in schema and value not in schema["enum"]:
        return False
    if "pattern" in schema and not re.search(schema["pattern"], value):
        return False
    if not isinstance(value, str | list):
        low, high = schema.get("minimum", float("-inf")), schema.get("maximum", float("inf"))
        return bool(low <= value <= high and value > schema.get("exclusiveMinimum", float("-inf")))
    return True


def test_models_take_what_a_model_may_have_of_its_own() -> None:
    one = SCHEMA["properties"]["models"]["additionalProperties"]
    assert one["additionalProperties"] is False
    assert one["properties"].keys() == {"model", *per_model_settings()}
    for name in one["properties"].keys() - {"model"}:
        assert one["properties"][name] == SCHEMA["properties"]["settings"]["properties"][name]


@pytest.mark.parametrize("name", ["iris", "a.b-c_1", "with space", "9", "team-*", "[ab]?", "*"])
def test_names_that_models_may_have_pass_the_schema(name: str) -> None:
    assert re.search(SCHEMA["properties"]["models"]["propertyNames"]["pattern"], name)


@pytest.mark.parametrize("name", ["", "a/b", "a:b", ".a", " a", "a ", "-a", "ü"])
def test_names_that_models_may_not_have_fail_the_schema(name: str) -> None:
    assert not re.search(SCHEMA["properties"]["models"]["propertyNames"]["pattern"], name)


def test_the_values_have_what_the_schema_has() -> None:
    """So the README has it too. What is Kubernetes' own, settings and models hold more than values.yaml shows."""

    def compare(values: dict[str, Any], schema: dict[str, Any], path: str) -> None:
        assert schema["properties"].keys() == values.keys(), path
        for name, said in schema["properties"].items():
            if name not in ("settings", "models") and said.get("required") is not None and "properties" in said:
                compare(values[name], said, f"{path}.{name}")

    compare(VALUES, SCHEMA, "")


def test_every_file_of_values_in_ci_has_only_known_keys() -> None:
    for file in (CHART / "ci").iterdir():
        values = yaml.safe_load(file.read_text()) or {}
        assert values.keys() <= SCHEMA["properties"].keys(), file.name


def test_secrets_have_no_place_in_the_values() -> None:
    assert "api_token" not in SCHEMA["properties"]["settings"]["properties"]
    names = [
        name for name in json.dumps(SCHEMA["properties"]).split('"') if re.search("password|token|secret", name, re.I)
    ]
    told = re.compile(r"Key$|^existingSecret$|^secretName$|#/definitions/|pullSecrets", re.I)
    assert not [name for name in names if " " not in name and not told.search(name) and name != "imagePullSecrets"]


def test_the_default_query_of_keda_asks_for_metrics_that_exist() -> None:
    template = (CHART / "templates" / "scaledobject.yaml").read_text()
    asked = set(re.findall(r"penstock_[a-z_]+(?=\{)", template))
    assert asked == {"penstock_open_requests", "penstock_queue_rows"}
    assert asked <= {name for name, _, _ in Metrics(process=False).families()}
