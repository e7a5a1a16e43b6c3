"""`penstock package … --code`: the first hour of somebody whose functions are in files of their own."""

from __future__ import annotations

import runpy
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

import joblib
import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from penstock.flavors.code_path import lent_code
from penstock.package import PackagedModel
from support.commands import Here

ROWS = pd.DataFrame({"a": [1.0, 2.0, 3.0], "b": [0.5, 0.5, 1.5]})

SCRIPT = """
from steps_of_user import doubled


def halved(x):
    return x / 2


if __name__ == "__main__":
    import training_of_user
"""


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """own.joblib refers to steps_of_user.doubled, which imports rates_of_user; script.joblib to halved of train.py, as
    if that had been run. Nothing of it stays imported."""
    place = tmp_path_factory.mktemp("trained")
    ROWS.to_csv(place / "rows.csv", index=False)
    (place / "rates_of_user.py").write_text("BY = 2\n")
    (place / "steps_of_user.py").write_text(
        "import rates_of_user\n\n\ndef doubled(x):\n    return rates_of_user.BY * x\n"
    )
    (place / "train.py").write_text(SCRIPT)
    with pytest.MonkeyPatch.context() as patched:
        patched.syspath_prepend(place)
        patched.setattr(sys, "dont_write_bytecode", True)
        script = runpy.run_path(str(place / "train.py"))
        script["halved"].__module__ = "__main__"
        patched.setattr(sys.modules["__main__"], "halved", script["halved"], raising=False)
        for name, function in (("own", script["doubled"]), ("script", script["halved"])):
            model = make_pipeline(FunctionTransformer(function), LinearRegression()).fit(ROWS, [1.0, 2.0, 4.0])
            joblib.dump(model, place / f"{name}.joblib")
    for name in ("steps_of_user", "rates_of_user"):
        del sys.modules[name]
    return place


@pytest.fixture
def place(trained: Path, tmp_path: Path) -> Iterator[Path]:
    for file in trained.iterdir():
        if file.is_file():
            (tmp_path / file.name).write_bytes(file.read_bytes())
    before = set(sys.modules)
    yield tmp_path
    assert not {name for name in set(sys.modules) - before if name.endswith(("_of_user", "train"))}


def pasted(text: str) -> list[str]:
    """The arguments of the penstock command that ends a text."""
    return shlex.split(text[text.rindex("penstock package") :].splitlines()[0])[1:]


def verified(place: Path) -> None:
    package = PackagedModel.open(place)
    package.verify()
    with lent_code(place):
        example = package.example()
        assert example is not None
        predictor = package.load(trust_code=True)
        assert predictor.predict(example.payload, None).rows == 3


def test_modules_of_ones_own_are_offered_all_at_once_by_a_line_that_works(here: Here, place: Path) -> None:
    refused = here("package", "sklearn", "own.joblib", "--example", "rows.csv", "-o", "m")
    assert refused.returncode == 1
    assert "files of your own, 'rates_of_user.py', 'steps_of_user.py'." in refused.stderr
    assert pasted(refused.stderr)[-4:] == ["--code", "rates_of_user.py", "--code", "steps_of_user.py"]
    made = here(*pasted(refused.stderr))
    assert made.returncode == 0, made.stderr
    assert "code/ holds Python modules" in made.stdout
    assert {p.name for p in (place / "m" / "code").iterdir()} == {"rates_of_user.py", "steps_of_user.py"}
    assert not list(place.rglob("__pycache__"))
    verified(place / "m")


def test_modules_are_found_beside_the_model_and_in_its_src(here: Here, place: Path) -> None:
    (place / "project" / "src").mkdir(parents=True)
    for name in ("own.joblib", "steps_of_user.py"):
        (place / name).rename(place / "project" / name)
    (place / "rates_of_user.py").rename(place / "project" / "src" / "rates_of_user.py")
    refused = here("package", "sklearn", "project/own.joblib", "--example", "rows.csv", "-o", "m")
    assert pasted(refused.stderr)[-4:] == [
        "--code",
        "project/src/rates_of_user.py",
        "--code",
        "project/steps_of_user.py",
    ]
    assert here(*pasted(refused.stderr)).returncode == 0
    verified(place / "m")


def test_a_function_of_the_training_script_is_taken_from_it(here: Here, place: Path) -> None:
    refused = here("package", "sklearn", "script.joblib", "--example", "rows.csv", "-o", "m")
    assert (
        "script.joblib refers to 'halved' of the script or notebook that wrote it (train.py), which no other program "
        "has." in refused.stderr
    )
    offered = ["--code", "rates_of_user.py", "--code", "steps_of_user.py", "--code", "train.py"]
    assert pasted(refused.stderr)[-6:] == offered  # with what the script imports
    made = here(*pasted(refused.stderr))
    assert made.returncode == 0, made.stderr
    assert "Taken from train, instead of the script that wrote script.joblib: halved." in made.stderr
    verified(place / "m")


def test_a_script_that_trains_when_imported_is_not_offered(here: Here, place: Path) -> None:
    script = (place / "train.py").read_text().replace('if __name__ == "__main__":', "if True:")
    (place / "train.py").write_text(script)
    refused = here("package", "sklearn", "script.joblib", "--example", "rows.csv", "-o", "m")
    assert "Or move halved, and the imports it needs, to a file of its own, features.py;" in refused.stderr
    (place / "features.py").write_text("def halved(x):\n    return x / 2\n")
    made = here(*pasted(refused.stderr))
    assert made.returncode == 0, made.stderr
    (place / "other.py").write_text("def halved(x):\n    return x / 3\n")
    unclear = here(*pasted(refused.stderr), "--code", "other.py", "--force")
    assert "several of the given modules define it: features, other." in unclear.stderr


def test_a_functions_modules_are_offered_too(here: Here, place: Path) -> None:
    (place / "serve_it.py").write_text(
        "from steps_of_user import doubled\n\n\ndef predict(x):\n    return doubled(x)\n"
    )
    refused = here("package", "python", "serve_it.py", "--example", "rows.csv", "-o", "m")
    assert pasted(refused.stderr)[-4:] == ["--code", "rates_of_user.py", "--code", "steps_of_user.py"]
    assert here(*pasted(refused.stderr)).returncode == 0
    verified(place / "m")


def test_a_library_that_is_missing_is_to_be_installed(here: Here, place: Path) -> None:
    (place / "serve_it.py").write_text("import cv2\n\n\ndef predict(x):\n    return x\n")
    refused = here("package", "python", "serve_it.py", "--example", "rows.csv", "-o", "m")
    assert "needs the module 'cv2', which is not installed." in refused.stderr
    assert "pip install opencv-python-headless && penstock package python serve_it.py" in refused.stderr


def test_a_file_inside_a_package_says_how_its_modules_are_imported(here: Here, place: Path) -> None:
    (place / "serve_it.py").write_text(
        "from .steps_of_user import doubled\n\n\ndef predict(x):\n    return doubled(x)\n"
    )
    refused = here("package", "python", "serve_it.py", "--example", "rows.csv", "-o", "m")
    assert "Write `from steps_of_user import …`, without the dot" in refused.stderr
