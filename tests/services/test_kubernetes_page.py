"""docs/kubernetes.md holds: its commands name what the chart renders, and helm says what the page shows."""

from __future__ import annotations

import re
import shlex
import tomllib
from typing import Any

import pytest
import yaml

from services.chart import CHART, Refused, helm, objects_of, one, render
from services.kubernetes_page import PAGE, blocks, commands, values

pytestmark = pytest.mark.services

# What kubectl calls the kinds that the page's commands name.
KINDS = {"deploy": "Deployment", "deployment": "Deployment", "service": "Service", "svc": "Service"}

# Which of the page's pieces of values is the hub's.
HUB = 3


@pytest.fixture(scope="module")
def installed() -> list[dict[str, Any]]:
    """What the page's own values render, and what helm prints then, in a ConfigMap `notes`."""
    message = '{{ include "penstock/templates/NOTES.txt" . | toJson }}'
    notes = f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: notes}}\ndata:\n  message: {message}"
    return objects_of(render(values=values() | values(HUB) | {"extraObjects": [notes]}, release="models"))


def test_kubectl_is_given_names_that_the_chart_renders(installed: list[dict[str, Any]]) -> None:
    """An object, its namespace, a port of it."""
    there = {(o["kind"], o["metadata"]["name"]): o for o in installed}
    (container,) = one(installed, "Deployment", "-penstock")["spec"]["template"]["spec"]["containers"]
    ports = {str(port["containerPort"]) for port in container["ports"]}
    lines = commands("kubectl")
    assert len(lines) >= 10
    for line in lines:
        words = shlex.split(line)
        if words[1:3] == ["create", "namespace"]:
            assert words[3:] == ["models"]
            continue
        assert words[words.index("-n") + 1] == "models", line
        for kind, name in re.findall(r" (\w+)/(\S+)", line):
            assert (KINDS[kind], name) in there, line
        for port in re.findall(r" port-forward .* (\d+)$", line):
            assert port in ports, line
        for service, port in re.findall(r" port-forward .* service/(\S+) \d+:(\d+)$", line):
            assert [str(p["port"]) for p in there["Service", service]["spec"]["ports"]] == [port], line


def test_the_secrets_that_are_made_are_those_that_the_chart_asks_for() -> None:
    """With the login that the page adds to its values."""
    made: dict[tuple[str, str], str] = {}
    for line in commands("kubectl"):
        if " create secret generic " in line:
            words = shlex.split(line)
            literals = [word.removeprefix("--from-literal=") for word in words if word.startswith("--from-literal=")]
            made |= {(words[4], literal.partition("=")[0]): literal for literal in literals}
    login = re.search(r"`registry: (\{.*?\})`", PAGE.read_text())
    assert login is not None
    given = values() | values(HUB) | {"registry": yaml.safe_load(login[1]), "serviceMonitor": {"enabled": True}}
    sets = re.findall(r"--set (auth\.\S+)", PAGE.read_text())
    objects = objects_of(render(values=given, release="models", sets=sets))
    containers = [o["spec"]["template"]["spec"]["containers"][0] for o in objects if o["kind"] == "Deployment"]
    asked = [entry["valueFrom"]["secretKeyRef"] for c in containers for entry in c["env"] if "valueFrom" in entry]
    monitors = [o["spec"] for o in objects if o["kind"] == "ServiceMonitor"]
    asked += [monitor["endpoints"][0]["authorization"]["credentials"] for monitor in monitors]
    assert {(reference["name"], reference["key"]) for reference in asked} == made.keys()


def test_helm_prints_what_the_page_shows(installed: list[dict[str, Any]]) -> None:
    (shown,) = [text for text in blocks() if "$ helm install" in text]
    said = one(installed, "ConfigMap", "notes")["data"]["message"]
    printed = shown.partition("$ helm install")[2].partition("$ kubectl")[0].splitlines()[1:]
    assert printed
    assert all(line in said.splitlines() for line in printed if line != "…")
    images = [line for line in shown.splitlines() if line.strip().startswith("image:")]
    text = render(values=values(), release="models")
    assert images == [line for line in text.splitlines() if "image:" in line]


def test_what_helm_refuses_it_refuses_in_these_words() -> None:
    page = PAGE.read_text()
    shown = re.findall(r"^\$ helm (template models helm/penstock --set .*)\n((?:(?!\$ |```).*\n)+)", page, re.MULTILINE)
    assert len(shown) == 2
    for line, printed in shown:
        arguments = [str(CHART) if part == "helm/penstock" else part for part in shlex.split(line)]
        with pytest.raises(Refused) as refused:
            helm(*arguments)
        assert " ".join(str(refused.value).split()).startswith(" ".join(printed.split()))


def test_a_model_is_trusted_and_the_file_is_left_alone_as_the_page_says() -> None:
    """`models` with trust_code, and the image that has own libraries in it."""
    trusted = values(1) | values(2)
    objects = objects_of(render(values=trusted | {"settings": {"registry": "/r", "watch_config": False}}))
    toml = tomllib.loads(one(objects, "ConfigMap")["data"]["penstock.toml"])
    (container,) = one(objects, "Deployment")["spec"]["template"]["spec"]["containers"]
    assert f" -t {container['image']} ." in PAGE.read_text()
    assert toml["models"] == trusted["models"] == {"churn": {"model": "models:/churn@champion", "trust_code": True}}
    assert toml["watch_config"] is False
