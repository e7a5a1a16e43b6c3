"""The documentation is complete: every setting, metric, endpoint and command is written down."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from penstock.cli import _COMMANDS
from penstock.cli.hub.serve import hub
from penstock.config import Settings, per_model_settings, variable_of
from penstock.hub.access.given_tokens import VARIABLES
from penstock.hub.handlers.table import ROUTES as HUB_ROUTES
from penstock.metrics import (
    ACCESS_REFUSALS,
    DISPATCH_REASONS,
    FAST_PATH_DECLINES,
    LIMITS,
    LOAD_STAGES,
    OUTCOMES,
    STAGES,
    HubMetrics,
    Metrics,
)
from penstock.server.app import make_app
from penstock.serving.gateway import Gateway

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
    for value in (*OUTCOMES, *STAGES, *DISPATCH_REASONS, *LIMITS, *LOAD_STAGES, *FAST_PATH_DECLINES, *ACCESS_REFUSALS):
        assert value in page


def test_every_endpoint_is_documented() -> None:
    paths = {endpoint.path for endpoint in make_app(Gateway([], Metrics(process=False))).routes}
    assert len(paths) > 10
    page = (ROOT / "docs" / "serving.md").read_text().partition("## Endpoints")[2].partition("\n## ")[0]
    for path in paths - {"/docs/docs.css", "/docs/docs.js"}:  # files of the page
        assert f"{path}`" in page, path


def test_every_endpoint_is_listed_with_what_it_needs() -> None:
    page = (ROOT / "docs" / "endpoints.md").read_text()
    for endpoint in make_app(Gateway([], Metrics(process=False))).routes:
        admin = "x" if endpoint.admin_only else ""
        assert f"| {', '.join(endpoint.methods)} | `{endpoint.path}` | {endpoint.needs} | {admin} |" in page


def test_every_endpoint_and_metric_of_the_hub_is_documented() -> None:
    endpoints = (ROOT / "docs" / "hub-endpoints.md").read_text()
    for route in HUB_ROUTES:
        assert f"| {', '.join(route.methods)} | `{route.path}` | {route.needs} |" in endpoints
    page = (ROOT / "docs" / "metrics.md").read_text()
    for name, _, text in HubMetrics(process=False).families():
        assert f"`{name}`" in page
        assert text in page


def test_every_option_and_variable_of_the_hub_is_documented() -> None:
    page = (ROOT / "docs" / "hub.md").read_text().partition("## Running it")[2].partition("\n## ")[0]
    for option in hub.params:
        assert f"`{option.opts[0]}`" in page, option.opts
        variables = [option.envvar] if isinstance(option.envvar, str) else option.envvar or []
        for variable in variables:
            assert f"`{variable}`" in page
    for variable in VARIABLES.values():
        assert f"`{variable}`" in page


def test_every_command_is_in_the_readme() -> None:
    for command in _COMMANDS.keys() - {"version", "demo", "config"}:
        assert f"penstock {command}" in README


def _pages() -> list[Path]:
    folders = [ROOT / name for name in ("docs", "helm", "loadtests", "sample_models", "tests/contract")]
    return [*ROOT.glob("*.md"), *(page for folder in folders for page in folder.rglob("*.md"))]


def test_links_lead_somewhere() -> None:
    """Files exist, and so do the headings that a link names in them."""
    for page in _pages():
        for target, heading in re.findall(r"\]\(([^)#:\s]*)(?:#([^)]*))?\)", page.read_text()):
            aim = page.parent / target if target else page
            assert aim.exists(), f"{page.name} links to {target}"
            assert not heading or heading in _headings(aim), f"{page.name} links to {target}#{heading}"


def _headings(page: Path) -> set[str]:
    """The names by which a page's headings are linked: lower case, no punctuation, hyphens for spaces."""
    lines = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL).splitlines()
    titles = [line.lstrip("#").strip() for line in lines if line.startswith("#")]
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def test_readme_is_short_and_names_every_chapter() -> None:
    """It is for newcomers; whatever else there is to say has a chapter in docs/, which it links."""
    assert len(README.splitlines()) <= 200
    for page in (ROOT / "docs").glob("*.md"):
        assert f"(docs/{page.name})" in README, page.name


def test_settings_of_one_model_are_documented() -> None:
    page = (ROOT / "docs" / "settings.md").read_text()
    assert all(f"`{name}`" in page.partition("## Settings of one model")[2] for name in per_model_settings())


def test_make_targets_that_are_named_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    hook = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"][0]["hooks"][0]["entry"]
    texts = [hook, *(code for page in _pages() for code in _code(page))]
    named = {target for text in texts for target in re.findall(r"^make ([a-z-]+)", text, re.MULTILINE)}
    assert {"check", "demo", "serve", "test", "release"} <= named
    assert named <= targets


def _code(page: Path) -> list[str]:
    """Blocks and spans of code in a page."""
    found = re.findall(r"^```\w*\n(.*?)^```|`([^`\n]+)`", page.read_text(), re.MULTILINE | re.DOTALL)
    return [block or span for block, span in found]


@pytest.mark.parametrize("form", ["bug", "feature"])
def test_issue_forms_ask_each_thing_once(form: str) -> None:
    asked = yaml.safe_load((ROOT / ".github" / "ISSUE_TEMPLATE" / f"{form}.yml").read_text())
    assert asked.keys() == {"name", "description", "labels", "body"}
    ids = [field["id"] for field in asked["body"] if field["type"] != "markdown"]
    assert len(ids) == len(set(ids)) >= 4
    assert all(field["attributes"]["label"] for field in asked["body"] if field["type"] != "markdown")
