"""docs/kubernetes.md holds: its commands name what the chart renders, and helm says what the page shows."""

from __future__ import annotations

import re
import shlex
import tomllib

import pytest

from services.chart import CHART, Refused, helm, objects_of, one, render
from services.kubernetes_page import PAGE, commands, values

pytestmark = pytest.mark.services

# What kubectl calls the kinds that the page's commands name.
KINDS = {"deploy": "Deployment", "deployment": "Deployment", "service": "Service", "svc": "Service"}


def test_kubectl_is_given_names_that_the_chart_renders() -> None:
    """With the page's own values and release: an object, its namespace, a port of it."""
    objects = objects_of(render(values=values(), release="models"))
    there = {(o["kind"], o["metadata"]["name"]) for o in objects}
    (container,) = one(objects, "Deployment")["spec"]["template"]["spec"]["containers"]
    ports = {str(port["containerPort"]) for port in container["ports"]}
    lines = commands("kubectl")
    assert len(lines) >= 5
    for line in lines:
        assert shlex.split(line)[shlex.split(line).index("-n") + 1] == "models", line
        for kind, name in re.findall(r" (\w+)/(\S+)", line):
            assert (KINDS[kind], name) in there, line
        for port in re.findall(r" port-forward .* (\d+)$", line):
            assert port in ports, line


def test_what_helm_refuses_it_refuses_in_these_words() -> None:
    page = PAGE.read_text()
    shown = re.findall(r"^\$ helm (template models helm/penstock .*)\n((?:(?!\$ |```).*\n)+)", page, re.MULTILINE)
    assert len(shown) == 2
    for line, printed in shown:
        arguments = [str(CHART) if part == "helm/penstock" else part for part in shlex.split(line)]
        with pytest.raises(Refused) as refused:
            helm(*arguments)
        assert " ".join(str(refused.value).split()).startswith(" ".join(printed.split()))


def test_a_model_is_trusted_and_the_file_is_left_alone_as_the_page_says() -> None:
    trusted = values(1)
    objects = objects_of(render(values=trusted | {"settings": {"registry": "/r", "watch_config": False}}))
    toml = tomllib.loads(one(objects, "ConfigMap")["data"]["penstock.toml"])
    assert toml["models"] == trusted["models"] == {"churn": {"model": "models:/churn@champion", "trust_code": True}}
    assert toml["watch_config"] is False
