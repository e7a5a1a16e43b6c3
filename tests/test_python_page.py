"""docs/python.md does what it says: its blocks run, in order, in an empty directory; and the public names exist."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import penstock

PAGE = Path(__file__).parent.parent / "docs" / "python.md"
PACKAGES = PAGE.with_name("packages.md")


def blocks(page: Path) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL)


def test_every_block_of_the_page_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)  # as the folder of a script that is run
    for variable in ("PENSTOCK_REGISTRY", "MLFLOW_REGISTRY_URI", "PENSTOCK_TRACKING_URI", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(variable, raising=False)
    names: dict[str, object] = {}
    found = blocks(PAGE)
    assert len(found) >= 8
    for number, block in enumerate(found):
        exec(compile(block, f"{PAGE.name}, block {number}", "exec"), names)
    del sys.modules["features"]


def test_the_page_about_packages_ends_with_a_prediction(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, iris_estimator: object, iris_frame: object
) -> None:
    monkeypatch.chdir(tmp_path)
    (block,) = [block for block in blocks(PACKAGES) if "penstock.save_model" in block]
    prediction = re.compile(r"model\.predict\((.*)\)  # (.*)$", re.MULTILINE)
    shown = prediction.sub(r"assert repr(model.predict(\1)) == '\2'", block)
    assert shown.count("assert repr") == 2
    exec(compile(shown, PACKAGES.name, "exec"), {"pipeline": iris_estimator, "frame": iris_frame})


@pytest.mark.parametrize("name", penstock.__all__)
def test_every_public_name_is_there_and_says_what_it_is(name: str) -> None:
    value = getattr(penstock, name)
    assert name in dir(penstock)
    assert isinstance(value, str) or (value.__doc__ and not value.__doc__.startswith(f"{name}("))


@pytest.mark.parametrize("name", ["LocalModel", "load_model", "save_model", "score_files", "open_registry", "testing"])
def test_the_page_speaks_of_every_entry_point(name: str) -> None:
    assert name in PAGE.read_text()


def test_the_modules_are_there_without_an_import_of_their_own() -> None:
    program = "import penstock; penstock.errors.PenstockError; penstock.testing.client; penstock.nothing"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert "AttributeError: module 'penstock' has no attribute 'nothing'" in done.stderr


def test_importing_it_imports_nothing_heavy() -> None:
    program = "import penstock, sys; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    ours = [name for name in loaded if name.startswith("penstock")]
    assert sorted(ours) == ["penstock", "penstock.version"]
    assert not {"numpy", "pandas", "pydantic", "click", "starlette"} & set(loaded)


def test_dir_shows_the_public_names_alone() -> None:
    assert dir(penstock) == sorted([*penstock.__all__, "errors", "testing", "tracking"])
