"""Packages that list what the tests want, and a directory of wheels to build their environments from."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from environments.wheels import make_host_wheels, make_wheel
from penstock.environments import Environments
from penstock.package import PackagedModel

MakePackage = Callable[..., PackagedModel]


@pytest.fixture(autouse=True)
def _plain_uv(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """uv as it comes, whatever the developer's shell says; what it finds out about Python is kept between tests."""
    for name in [name for name in os.environ if name.startswith("UV_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path_factory.getbasetemp() / "uv-cache"))


@pytest.fixture
def make_package(tmp_path: Path) -> MakePackage:
    """A package of Python code (it cannot be loaded, only asked), with these requirement files."""

    def make(
        *lines: str, name: str = "model", python: str | None = None, files: dict[str, str] | None = None,
        flavors: dict[str, dict[str, object]] | None = None,
    ) -> PackagedModel:  # fmt: skip
        place = tmp_path / name
        place.mkdir()
        flavors = flavors or {"python_function": {"loader_module": "own", "code": "code"}}
        (place / "MLmodel").write_text(yaml.safe_dump({"flavors": flavors}))
        env = {"python": python or platform.python_version(), "dependencies": ["-r requirements.txt"]}
        (place / "python_env.yaml").write_text(yaml.safe_dump(env))
        (place / "requirements.txt").write_text("\n".join(lines))
        for file, text in (files or {}).items():
            (place / file).write_text(text)
        return PackagedModel.open(place)

    return make


@pytest.fixture
def wheels(tmp_path: Path) -> Path:
    """What every environment needs, and alpha 1.0 and 2.0 with the beta that each needs."""
    place = tmp_path / "wheels"
    make_host_wheels(place)
    for version in ("1.0", "2.0"):
        make_wheel(place, "alpha", version, requires=[f"beta=={version}"])
        make_wheel(place, "beta", version)
    return place


@pytest.fixture
def environments(tmp_path: Path, wheels: Path) -> Iterator[Environments]:
    made = Environments(tmp_path / "environments", wheels=wheels)
    yield made
    made.close()
