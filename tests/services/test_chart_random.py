"""Random values: whatever the schema allows renders what Kubernetes takes, or is refused in words of the chart's own.

PENSTOCK_CHART_EXAMPLES=5000 looks further than CI does.
"""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, event, given, settings
from hypothesis import strategies as st

from services.chart import CHART, OURS, SCHEMAS, Refused, Validator, objects_of, render
from services.random_values import strategy

pytestmark = pytest.mark.services
SCHEMA = json.loads((CHART / "values.schema.json").read_text())
# The schema knows Kubernetes' own types as they are in 1.31; an older cluster would refuse some of their keys.
VERSIONS = ("1.31", "1.37")
EXAMPLES = int(os.environ.get("PENSTOCK_CHART_EXAMPLES", "100"))
# Left to chance, most objects would not be made, or be refused for want of what they cannot do without.
SENSIBLE: dict[str, dict[str, Any]] = {
    "autoscaling": {"enabled": True},
    "keda": {"enabled": True, "prometheus": {"serverAddress": "http://prometheus:9090"}},
    "ingress": {"enabled": True, "hosts": [{"host": "models.example.com"}]},
    "route": {"main": {"enabled": True, "parentRefs": [{"name": "public"}]}},
    "serviceMonitor": {"enabled": True},
    "prometheusRule": {"enabled": True},
    "dashboards": {"enabled": True},
    "networkPolicy": {"enabled": True},
    "migration": {"enabled": True, "existingSecret": "owner"},
    "hub": {"enabled": True, "auth": {"existingSecret": "hub", "readKey": "read"}, "openToEverybody": False},
    "scoring": {"enabled": True, "model": "fraud", "inputs": ["/in"], "output": "/out/"},
}


def groups() -> dict[str, st.SearchStrategy[Any]]:
    """A strategy for each value at the top. What values.yaml has need not be said again: nothing there is required."""

    def eased(schema: dict[str, Any]) -> dict[str, Any]:
        if "properties" not in schema:
            return schema
        bare = {key: value for key, value in schema.items() if key != "required"}
        return {**bare, "properties": {name: eased(value) for name, value in schema["properties"].items()}}

    return {name: strategy(eased(schema), SCHEMA["definitions"]) for name, schema in SCHEMA["properties"].items()}


GROUPS = groups()


@st.composite
def values(draw: st.DrawFn) -> dict[str, Any]:
    names = draw(st.lists(st.sampled_from(sorted(GROUPS)), min_size=1, max_size=5, unique=True))
    made = {name: draw(GROUPS[name]) for name in names}
    for name, sensible in SENSIBLE.items():
        if name in made and draw(st.booleans()):
            made[name] = merged(sensible, made[name])
    return made


def merged(under: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    both = {k: merged(under[k], v) if isinstance(under.get(k), dict) else v for k, v in over.items()}
    return {**under, **both, **({"enabled": True} if "enabled" in under else {})}


@pytest.fixture(scope="module")
def validator() -> Iterator[Validator]:
    made = Validator()
    yield made
    made.close()


@settings(
    max_examples=EXAMPLES, deadline=None, database=None, derandomize="PENSTOCK_CHART_EXAMPLES" not in os.environ,
    phases=[Phase.generate, Phase.shrink], suppress_health_check=list(HealthCheck),
)  # fmt: skip
@given(values=values(), version=st.sampled_from(VERSIONS))
def test_random_values_render_or_are_refused(validator: Validator, values: dict[str, Any], version: str) -> None:
    try:
        text = render(values=values, version=version)
    except Refused as refused:
        if OURS not in str(refused) and SCHEMAS not in str(refused):
            raise
        event("refused")
        return
    event("rendered")
    everything = objects_of(text)
    files = [o["data"]["penstock.toml"] for o in everything if "penstock.toml" in (o.get("data") or ())]
    assert len(files) == values.get("gateway", {}).get("enabled", True)
    for file in files:
        file_values = tomllib.loads(file)
        assert {**file_values, **values.get("settings", {})} == file_values  # every value comes through as it was given
        assert file_values.get("models", {}) == values.get("models", {})
    ours = [each for each in everything if "helm.sh/chart" in each["metadata"].get("labels", {})]  # no extra ones
    assert validator.errors(ours, version) == []


def test_every_feature_renders_or_is_refused_with_every_other(validator: Validator) -> None:
    """All pairs of features, each as its file in ci has it: the later one wins where both say something."""
    files = sorted((CHART / "ci").glob("*-values.yaml"))
    for index, file in enumerate(files):
        others = [files[(index + step) % len(files)] for step in range(1, len(files), 5)]
        try:
            objects = objects_of(render(file, *others))
        except Refused as refused:
            if OURS not in str(refused):
                raise
            continue
        assert validator.errors(objects, "1.31") == []
