"""`make release` refuses what does not agree, and builds the same bytes from the same commit."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import penstock

ROOT = Path(__file__).parent.parent


def _script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("release", ROOT / ".ci" / "release.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


release = _script()

GOOD = release.Release(
    version="1.2.0",
    tags=frozenset({"v1.2.0"}),
    chart_version="1.2.0",
    app_version="1.2.0",
    image_tag="",
    documented_image_tags=frozenset({"1.2.0"}),
    changelog=("[Unreleased]", "[1.2.0] - 2026-12-01", "[1.1.0] - 2026-11-01"),
    branch="main",
    changed_files=(),
)


@pytest.mark.parametrize("image_tag", ["", "1.2.0"])
def test_a_consistent_release_has_no_problems(image_tag: str) -> None:
    assert release.problems(replace(GOOD, image_tag=image_tag)) == []


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"tags": frozenset()}, "The commit has no tag, not v1.2.0"),
        ({"tags": frozenset({"v1.1.0"})}, "The commit has v1.1.0, not v1.2.0"),
        ({"chart_version": "1.1.0"}, "Chart.yaml has version 1.1.0, not 1.2.0"),
        ({"app_version": "1.3.0"}, "Chart.yaml has appVersion 1.3.0, not 1.2.0"),
        ({"image_tag": "1.1.0"}, "values.yaml has image.tag 1.1.0, not 1.2.0"),
        ({"documented_image_tags": frozenset({"1.1.0", "1.2.0"})}, "docs/images.md names penstock with 1.1.0, 1.2.0"),
        ({"documented_image_tags": frozenset()}, "docs/images.md names penstock with no tag"),
        ({"changelog": ("[1.2.0] - 2026-12-01",)}, "does not begin with a heading ## [Unreleased]"),
        ({"changelog": ("[Unreleased]",)}, "CHANGELOG.md has nothing as its newest version"),
        ({"changelog": ("[Unreleased]", "[1.1.0] - 2026-11-01")}, "CHANGELOG.md has [1.1.0] - 2026-11-01"),
        ({"changelog": ("[Unreleased]", "[1.2.0]")}, "not [1.2.0] - YYYY-MM-DD"),
        ({"branch": "fix"}, "The branch is fix, not main"),
        ({"branch": ""}, "The branch is none, not main"),
        ({"changed_files": ("README.md",)}, "The tree is not clean: README.md"),
    ],
)
def test_whatever_disagrees_is_the_only_problem(change: dict[str, Any], problem: str) -> None:
    (found,) = release.problems(replace(GOOD, **change))
    assert problem in found


def test_another_version_in_the_code_disagrees_with_every_place() -> None:
    """The code's version is the one that all others are compared with."""
    found = release.problems(replace(GOOD, version="1.3.0", image_tag="1.2.0"))
    assert [sentence.partition(" has ")[0].partition(" names ")[0] for sentence in found] == [
        "The commit",
        "helm/penstock/Chart.yaml",
        "helm/penstock/Chart.yaml",
        "helm/penstock/values.yaml",
        "docs/images.md",
        "CHANGELOG.md",
    ]


def test_this_repository_agrees_on_its_version() -> None:
    """All but the tag, the date and the tree, which are made on the day of a release."""
    said = release.read_release(ROOT)
    assert said.version == said.chart_version == said.app_version == penstock.__version__
    assert said.image_tag == ""
    assert said.documented_image_tags == {penstock.__version__}
    assert said.changelog[0] == "[Unreleased]"
    assert said.changelog[1].startswith(f"[{penstock.__version__}]")


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository of one commit on main, with the tag of a release: our sources, and a changelog with a date."""
    root = tmp_path / "repository"
    skipped = shutil.ignore_patterns("__pycache__")
    for name in ("src", "helm/penstock", "docs"):
        shutil.copytree(ROOT / name, root / name, ignore=skipped)
    for name in ("pyproject.toml", "README.md", "LICENSE", ".gitignore"):
        shutil.copy(ROOT / name, root / name)
    (root / "CHANGELOG.md").write_text(f"## [Unreleased]\n\n## [{penstock.__version__}] - 2026-12-01\n")
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)  # a hook that runs the tests sets them to this repository
    _git(root, "init", "--quiet", "--initial-branch", "main")
    _git(root, "add", ".")
    _git(root, "-c", "user.name=t", "-c", "user.email=t@example.com", "commit", "--quiet", "-m", "A release")
    _git(root, "tag", f"v{penstock.__version__}")
    return root


def _git(root: Path, *arguments: str) -> None:
    subprocess.run(["git", *arguments], cwd=root, check=True)


def test_it_builds_the_same_bytes_twice(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert release.main(["--root", str(repository)]) == 0
    first = {file.name: file.read_bytes() for file in (repository / "dist").iterdir()}
    version = penstock.__version__
    assert set(first) == {f"penstock-{version}-py3-none-any.whl", f"penstock-{version}.tar.gz"}
    for file in (repository / "src").rglob("*.py"):
        os.utime(file, (10**9, 10**9))
    assert release.main(["--root", str(repository)]) == 0
    assert {file.name: file.read_bytes() for file in (repository / "dist").iterdir()} == first
    printed = capsys.readouterr().out
    assert "Nothing has been published." in printed
    assert f"registry.example.com/penstock:{version}" in printed


def test_it_builds_nothing_from_a_tree_that_was_changed(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (repository / "src" / "penstock" / "version.py").write_text('__version__ = "9.0.0"\n')
    assert release.main(["--root", str(repository)]) == 1
    assert not (repository / "dist").exists()
    printed = capsys.readouterr().err
    assert "Penstock 9.0.0 cannot be released:" in printed
    assert "The tree is not clean: src/penstock/version.py" in printed
