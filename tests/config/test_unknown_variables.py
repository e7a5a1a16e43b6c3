"""Variables of Penstock's name that nothing reads, and those that Kubernetes makes of a service's name."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import penstock
from penstock.config import Settings, unknown_variables, variable_of

SOURCE = Path(penstock.__file__).parent


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("PENSTOCK_TIMOUT", "PENSTOCK_TIMEOUT"),
        ("PENSTOCK_WORKER", "PENSTOCK_WORKERS"),
        ("PENSTOCK_TRUSTCODE", "PENSTOCK_TRUST_CODE"),
        ("PENSTOCK_MAX_BODY_BYTE", "PENSTOCK_MAX_BODY_BYTES"),
        ("penstock_port", "PENSTOCK_PORT"),
        ("PENSTOCK_ADMN_PORT", "PENSTOCK_ADMIN_PORT"),
    ],
)
def test_a_misspelt_variable_is_told_with_the_nearest(name: str, near: str) -> None:
    assert unknown_variables({name: "1", "PATH": "/bin"}) == [
        f"The variable {name} means nothing: did you mean {near}?"
    ]


def test_what_is_like_nothing_is_told_as_well() -> None:
    (said,) = unknown_variables({"PENSTOCK_QQQXYZ": "1"})
    assert said == "The variable PENSTOCK_QQQXYZ means nothing: no setting has a name like it."


@pytest.mark.parametrize("service", ["PENSTOCK", "PENSTOCK_CANARY", "PENSTOCK_METRICS", "PENSTOCK_ADMIN", "PENSTOCK_2"])
def test_what_kubernetes_makes_of_a_services_name_is_not(service: str) -> None:
    variables = {
        f"{service}_SERVICE_HOST": "10.0.0.11",
        f"{service}_SERVICE_PORT": "8080",
        f"{service}_SERVICE_PORT_HTTP": "8080",
        f"{service}_SERVICE_PORT_ADMIN_HTTP": "8081",
        f"{service}_PORT": "tcp://10.0.0.11:8080",
        f"{service}_PORT_8080_TCP": "tcp://10.0.0.11:8080",
        f"{service}_PORT_8080_TCP_PROTO": "tcp",
        f"{service}_PORT_8080_TCP_PORT": "8080",
        f"{service}_PORT_8080_TCP_ADDR": "fd00::11",
        f"{service}_PORT_53_UDP": "udp://10.0.0.11:53",
        f"{service}_PORT_99_SCTP_ADDR": "10.0.0.11",
    }
    assert unknown_variables(variables) == []
    assert len(unknown_variables({f"{service}_CANARY_PORT": "8080"})) == 1  # a number is nobody's service


def test_settings_and_empty_variables_are_not_told() -> None:
    assert unknown_variables({variable_of(name): "1" for name in Settings.model_fields}) == []
    assert unknown_variables({"PENSTOCK_TIMOUT": "", "PENSTOCK_CONFIG": "penstock.toml"}) == []


def test_every_variable_that_the_sources_name_is_known() -> None:
    names = re.compile(r"\bPENSTOCK_[A-Z][A-Z_]*[A-Z]\b")
    named = {found for file in SOURCE.rglob("*.py") for found in names.findall(file.read_text(encoding="utf-8"))}
    assert "PENSTOCK_TRUST_CODE" in named
    assert unknown_variables(dict.fromkeys(named, "1")) == []
