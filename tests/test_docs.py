"""The documentation is complete: every setting, metric, endpoint and command is written down."""

from __future__ import annotations

from pathlib import Path

import pytest

from penstock.cli import _COMMANDS
from penstock.config import Settings, per_model_settings, variable_of
from penstock.metrics import DISPATCH_REASONS, FAST_PATH_DECLINES, LIMITS, LOAD_STAGES, OUTCOMES, STAGES, Metrics
from penstock.server.app import INVOCATION_PATHS

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


@pytest.mark.parametrize("name", [name for name in Settings.model_fields if name != "models"])
def test_every_setting_is_documented(name: str) -> None:
    page = (ROOT / "docs" / "settings.md").read_text()
    assert f"`--{name.replace('_', '-')}`" in page
    assert f"`{variable_of(name)}`" in page
    assert str(Settings.model_fields[name].description) in page


def test_every_metric_and_label_value_is_documented() -> None:
    page = (ROOT / "docs" / "metrics.md").read_text()
    for name, kind, text in Metrics(process=False).families():
        assert f"| `{name}` | {kind} |" in page
        assert text in page
    for value in (*OUTCOMES, *STAGES, *DISPATCH_REASONS, *LIMITS, *LOAD_STAGES, *FAST_PATH_DECLINES):
        assert value in page


def test_every_endpoint_is_documented() -> None:
    probes = ["/ping", "/health", "/livez", "/readyz", "/version", "/metrics"]
    paths = ["/models", "/models/{name}", "/openapi.json", "/docs", *probes]
    for path in (*INVOCATION_PATHS, *paths):
        assert f"{path}`" in README, path


def test_every_command_is_in_the_readme() -> None:
    for command in _COMMANDS.keys() - {"version", "demo", "config"}:
        assert f"penstock {command}" in README


def test_links_lead_somewhere() -> None:
    import re

    for page in [ROOT / "README.md", *(ROOT / "docs").glob("*.md"), *(ROOT / "sample_models").rglob("*.md")]:
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_settings_of_one_model_are_documented() -> None:
    page = (ROOT / "docs" / "settings.md").read_text()
    assert all(f"`{name}`" in page.partition("## Settings of one model")[2] for name in per_model_settings())
