"""Checks that a release is consistent, then builds it into dist/: python .ci/release.py, or `make release`.

A version stands in the code, a tag, the chart, the documentation of the image and the changelog. What does not agree is
listed, all of it at once, and nothing is built. Nothing is ever published from here: it says what would go where.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
REGISTRY = "registry.example.com"
BUILD = "import sys; from flit_core.buildapi import *; print(build_wheel(sys.argv[1]), build_sdist(sys.argv[1]))"


@dataclass(frozen=True)
class Release:
    """What each place says about the release. `tags` are the tags of the commit that is checked out."""

    version: str
    tags: frozenset[str]
    chart_version: str
    app_version: str
    image_tag: str  # the chart's default; empty means the chart's appVersion
    documented_image_tags: frozenset[str]
    changelog: tuple[str, ...]  # headings of the second level, as they are
    branch: str
    changed_files: tuple[str, ...]


def read_release(root: Path) -> Release:
    """Raises ValueError, naming the file, where a place says nothing."""
    chart, values = root / "helm" / "penstock" / "Chart.yaml", root / "helm" / "penstock" / "values.yaml"
    images = (root / "docs" / "images.md").read_text(encoding="utf-8")
    changelog = (root / "CHANGELOG.md").read_text(encoding="utf-8")
    return Release(
        version=_find(r'^__version__ = "(.+)"$', root / "src" / "penstock" / "version.py"),
        tags=frozenset(_git(root, "tag", "--points-at", "HEAD")),
        chart_version=_find(r'^version: "?([^"\s]+)"?$', chart),
        app_version=_find(r'^appVersion: "?([^"\s]+)"?$', chart),
        image_tag=_find(r'^image:\n(?:(?:  .*)?\n)*?  tag: "?([^"\s]*)"?$', values),
        documented_image_tags=frozenset(re.findall(r"\bpenstock:(\d[\w.]*)", images)),
        changelog=tuple(re.findall(r"^## (.+)$", changelog, re.MULTILINE)),
        branch="".join(_git(root, "branch", "--show-current")),
        changed_files=tuple(line[3:] for line in _git(root, "status", "--porcelain")),
    )


def problems(release: Release) -> list[str]:
    """What keeps this from being released, one sentence each; empty if nothing does."""
    version, found = release.version, []
    if f"v{version}" not in release.tags:
        tagged = ", ".join(sorted(release.tags)) or "no tag"
        found.append(
            f"The commit has {tagged}, not v{version}, which penstock.__version__ asks for: git tag v{version}."
        )
    for name, said in (("version", release.chart_version), ("appVersion", release.app_version)):
        if said != version:
            found.append(f"helm/penstock/Chart.yaml has {name} {said}, not {version}.")
    if release.image_tag not in ("", version):
        found.append(f"helm/penstock/values.yaml has image.tag {release.image_tag}, not {version} or nothing.")
    if release.documented_image_tags != {version}:
        tags = ", ".join(sorted(release.documented_image_tags)) or "no tag"
        found.append(f"docs/images.md names penstock with {tags}, not {version}.")
    return [*found, *_changelog_problems(release), *_tree_problems(release)]


def _changelog_problems(release: Release) -> list[str]:
    found = []
    if release.changelog[:1] != ("[Unreleased]",):
        found.append("CHANGELOG.md does not begin with a heading ## [Unreleased].")
    newest = next((heading for heading in release.changelog if heading != "[Unreleased]"), "nothing")
    if not re.fullmatch(rf"\[{re.escape(release.version)}\] - \d{{4}}-\d\d-\d\d", newest):
        found.append(f"CHANGELOG.md has {newest} as its newest version, not [{release.version}] - YYYY-MM-DD.")
    return found


def _tree_problems(release: Release) -> list[str]:
    found = []
    if release.branch != "main":
        found.append(f"The branch is {release.branch or 'none'}, not main.")
    if release.changed_files:
        found.append(f"The tree is not clean: {', '.join(release.changed_files[:5])}. Commit or remove it.")
    return found


def build(root: Path, dist: Path) -> list[Path]:
    """The wheel and the source distribution, by flit, offline. The same commit gives the same bytes."""
    dist.mkdir(exist_ok=True)
    environment = {**os.environ, "SOURCE_DATE_EPOCH": "".join(_git(root, "log", "-1", "--format=%ct"))}
    command = [sys.executable, "-c", BUILD, str(dist)]  # flit builds what is in the working directory
    names = subprocess.run(command, cwd=root, env=environment, check=True, stdout=subprocess.PIPE, text=True).stdout
    return [dist / name for name in names.split()]


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Check that a release is consistent, and build it. Publishes nothing.")
    parser.add_argument("--registry", default=REGISTRY, help="where image and chart would be pushed (%(default)s)")
    parser.add_argument("--root", type=Path, default=ROOT, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    release = read_release(options.root)
    if found := problems(release):
        print(f"Penstock {release.version} cannot be released:", *found, sep="\n  - ", file=sys.stderr)
        return 1
    files = build(options.root, options.root / "dist")
    for file in files:
        print(f"{hashlib.sha256(file.read_bytes()).hexdigest()}  dist/{file.name}")
    print(f"""
Nothing has been published. Penstock {release.version} would go here:
  package  your package index: {", ".join(f"dist/{file.name}" for file in files)}
  image    {options.registry}/penstock:{release.version}, and -onnx for the target onnx
  chart    oci://{options.registry}/charts/penstock, version {release.chart_version}""")
    return 0


def _find(pattern: str, file: Path) -> str:
    found = re.search(pattern, file.read_text(encoding="utf-8"), re.MULTILINE)
    if found is None:
        raise ValueError(f"{file} has no line like {pattern}")
    return found[1]


def _git(root: Path, *arguments: str) -> list[str]:
    return subprocess.run(["git", *arguments], cwd=root, check=True, capture_output=True, text=True).stdout.splitlines()


if __name__ == "__main__":
    sys.exit(main())
