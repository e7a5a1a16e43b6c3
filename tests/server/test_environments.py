"""Models that run with libraries of their own: served side by side, swapped, scored and verified.

The environments are real and built offline: from what is installed here, packed again, and from small wheels.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path

import httpx
import numpy as np
import pytest

from environments.wheels import make_wheel, repack
from penstock.package.save import save_model
from penstock.package.seal import write_seal
from penstock.publishing import publish
from penstock.registry import open_registry
from server.conftest import Launch

MODEL = """
try:
    import alpha
except ImportError:  # where it is packaged
    alpha = None


def predict(inputs, params):
    return inputs[:, 0] + float(alpha.__version__ if alpha else 0)
"""

Package = Callable[[str], Path]


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("wheels")
    repack(place, "numpy", "orjson", "pyyaml")
    for name, version in (("pandas", "2.2"), ("cloudpickle", "3.1"), ("alpha", "1.0"), ("alpha", "2.0")):
        make_wheel(place, name, version)  # pandas is not used where rows are arrays
    return place


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Package:
    """A package that wants this version of alpha, and answers its first column and that."""
    place = tmp_path_factory.mktemp("packages")
    (place / "model.py").write_text(MODEL)

    @cache
    def make(version: str) -> Path:
        made = save_model(place / "model.py", place / f"alpha-{version}", example=np.ones((2, 2))).path
        (made / "requirements.txt").write_text(f"alpha=={version}\n")
        (made / "expected_output.json").unlink()  # recorded without alpha
        write_seal(made)
        return made

    return make


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory, wheels: Path) -> dict[str, str]:
    """Variables for commands that build environments."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("UV_", "PENSTOCK_"))}
    return {
        **kept,
        "PENSTOCK_CACHE": str(tmp_path_factory.mktemp("cache")),
        "PENSTOCK_WHEELS": str(wheels),
        "PENSTOCK_TRUST_CODE": "1",
        "PENSTOCK_ENV_MANAGER": "uv",
    }


@pytest.fixture(scope="module")
def one_and_two(package: Package, shell: dict[str, str]) -> tuple[Path, Path]:
    """Packages that want alpha 1.0 and 2.0, with their environments built."""
    made = package("1.0"), package("2.0")
    built = run(shell, "env", "build", *made)
    assert built.returncode == 0, built.stderr
    return made


def ours(shell: dict[str, str]) -> dict[str, str]:
    """What a launched server is told: nothing else of Penstock's own reaches it."""
    return {name: value for name, value in shell.items() if name.startswith("PENSTOCK_")}


def wait_until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 180
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.05)


def run(shell: dict[str, str], *arguments: str | Path, given: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "penstock", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env=shell, timeout=240, input=given, check=False)


def test_conflicting_libraries_are_served_side_by_side(
    launch: Launch, one_and_two: tuple[Path, Path], shell: dict[str, str]
) -> None:
    first, second = one_and_two
    server = launch(f"one={first}", f"two={second}", **ours(shell)).wait_ready()
    for name, answer in (("one", [6.0]), ("two", [7.0])):
        asked = httpx.post(f"{server.url}/models/{name}/invocations", json={"inputs": [[5.0, 0.0]]}, timeout=60)
        assert asked.json() == {"predictions": answer}


def test_one_model_of_several_has_libraries_of_its_own_in_every_worker(
    launch: Launch, package: Package, one_and_two: tuple[Path, Path], shell: dict[str, str], tmp_path: Path
) -> None:
    """As penstock.toml says it. In the gateway's own environment there is no alpha."""
    first, _ = one_and_two
    (tmp_path / "penstock.toml").write_text(
        f'trust_code = true\n[models.own]\nmodel = "{first}"\nenv_manager = "uv"\n[models.plain]\nmodel = "{first}"\n'
    )
    variables = {name: value for name, value in ours(shell).items() if name != "PENSTOCK_ENV_MANAGER"}
    server = launch("--workers", "2", **variables).wait_ready()
    for _ in range(8):  # each on a connection of its own, so that both workers answer
        for name, answer in (("own", [6.0]), ("plain", [5.0])):
            asked = httpx.post(f"{server.url}/models/{name}/invocations", json={"inputs": [[5.0, 0.0]]}, timeout=60)
            assert asked.json() == {"predictions": answer}


def test_env_build_takes_the_models_of_a_pattern_and_doctor_finds_what_is_built(
    one_and_two: tuple[Path, Path], package: Package, shell: dict[str, str], tmp_path: Path
) -> None:
    url = str(tmp_path / "registry")
    registry = open_registry(url)
    for name, made in zip(("team-a", "team-b", "else"), (*one_and_two, package("9.0")), strict=True):
        publish(registry, name, made, alias="production")
    registry.close()
    (tmp_path / "penstock.toml").write_text(
        f'registry = "{url}"\nmodels = ["models:/team-*@production"]\nenv_manager = "uv"\n'
    )
    built = run(shell, "env", "build", "--config", tmp_path / "penstock.toml")
    assert [line.split(":")[0] for line in built.stdout.splitlines()] == ["team-a", "team-b"], built.stderr

    asked = run(shell, "doctor", "--json", "--registry", url, "team-a", "else")
    found = [(one["what"], one["state"], one["found"]) for one in json.loads(asked.stdout)]
    assert ("team-a", "ok", "the environment is built") in found
    assert ("else", "ok", "the environment is not built yet; loading the model will build it") in found
    assert [state for what, state, _ in found if what == "uv"] == ["ok"]
    assert not any("made with" in message for _, _, message in found)


def test_an_environment_that_cannot_be_built_leaves_the_current_version_answering(
    launch: Launch, package: Package, one_and_two: tuple[Path, Path], shell: dict[str, str], tmp_path: Path
) -> None:
    url = str(tmp_path / "registry")
    registry = open_registry(url)
    publish(registry, "m", one_and_two[0], alias="production")
    server = launch("m", "--registry", url, "--poll-interval", "0.1", **ours(shell)).wait_ready()

    def answer() -> list[float]:
        asked = httpx.post(f"{server.url}/invocations", json={"inputs": [[5.0, 0.0]]}, timeout=60)
        return list(asked.json()["predictions"])

    publish(registry, "m", package("9.0"), alias="production")
    wait_until(lambda: "no version of alpha==9.0" in server.stderr)
    assert answer() == [6.0]
    publish(registry, "m", one_and_two[1], alias="production")
    wait_until(lambda: answer() == [7.0])
    registry.close()


def test_scoring_and_verifying_use_the_same_environments(
    one_and_two: tuple[Path, Path], shell: dict[str, str], tmp_path: Path
) -> None:
    rows = "".join(f"{n},0\n" for n in range(1000))
    (tmp_path / "rows.csv").write_text("a,b\n" + rows)
    for more, path in enumerate(one_and_two, 1):
        out = tmp_path / f"{more}.csv"
        done = run(shell, "score", path, tmp_path / "rows.csv", "-o", out, "--workers", str(more))
        assert done.returncode == 0, done.stderr
        assert [float(line) for line in out.read_text().splitlines()[1:]] == [n + more for n in range(1000)]
    like = run(shell, "score", "-m", one_and_two[1], "-t", "json", given=json.dumps({"inputs": [[5.0, 0.0]]}))
    assert json.loads(like.stdout) == {"predictions": [7.0]}
    verified = run(shell, "verify", one_and_two[0])
    assert verified.returncode == 0, verified.stderr
