"""The environment of a package, written as MLflow writes it and compared with the one here."""

from __future__ import annotations

import platform
from importlib.metadata import version
from pathlib import Path

import pytest
import yaml

from penstock.errors import EnvironmentMismatch
from penstock.manifest import Manifest
from penstock.package import PackagedModel
from penstock.package.environment import VersionComparison, compare, read_pins, write_environment


def test_what_is_written_is_what_mlflow_reads(tmp_path: Path) -> None:
    env = write_environment(tmp_path, ["numpy==2.0.1", "penstock[onnx]"])
    assert env == {"conda": "conda.yaml", "virtualenv": "python_env.yaml"}
    assert (tmp_path / "requirements.txt").read_text() == "numpy==2.0.1\npenstock[onnx]\n"
    python = yaml.safe_load((tmp_path / "python_env.yaml").read_text())
    assert python["python"] == platform.python_version()
    assert python["dependencies"] == ["-r requirements.txt"]
    conda = yaml.safe_load((tmp_path / "conda.yaml").read_text())
    assert conda["dependencies"][-1] == {"pip": ["numpy==2.0.1", "penstock[onnx]"]}


def test_pins_are_read_and_other_lines_left_aside(tmp_path: Path) -> None:
    assert read_pins(tmp_path) == {}
    lines = "mlflow==3.18.0\n\n# note\n scikit-learn == 1.9.0 ; python_version > '3'\nx>=1\n-r other.txt\n\xff==1\n"
    (tmp_path / "requirements.txt").write_bytes(lines.encode("latin-1"))
    assert read_pins(tmp_path) == {"mlflow": "3.18.0", "scikit-learn": "1.9.0"}


@pytest.mark.parametrize(
    ("packaged", "installed", "differs"),
    [
        ("1.9.0", "1.9.0", False),
        ("1.9.0", "1.9.3", False),
        ("1.9.0", "1.8.0", True),
        ("1.9.0", "2.9.0", True),
        ("1.9.0", None, True),
        ("1", "1.0", True),
    ],
)
def test_minor_versions_matter(packaged: str, installed: str | None, differs: bool) -> None:
    assert VersionComparison("x", packaged, installed).differs is differs


def test_requirements_are_compared_with_what_is_installed() -> None:
    here, gone = compare({"scikit-learn": "0.1.2", "no-such-library": "1.0"})
    assert (here.packaged, here.installed) == ("0.1.2", version("scikit-learn"))
    assert gone.installed is None


def test_another_scikit_learn_is_noticed(iris_package: Path) -> None:
    package = PackagedModel.open(iris_package)
    (same,) = package.environment()
    assert not same.differs
    package.check_environment()
    flavors = {**package.manifest.flavors}
    flavors["sklearn"] = {**flavors["sklearn"], "sklearn_version": "1.2.3"}
    older = PackagedModel(package.path, Manifest({**package.manifest.content, "flavors": flavors}))
    (other,) = older.environment()
    assert other.differs
    with pytest.raises(EnvironmentMismatch, match=r"scikit-learn 1\.2\.3 \(here 1\.\d+\.\d+\)"):
        older.check_environment()


def test_onnx_has_no_version_that_matters(iris_onnx_package: Path) -> None:
    assert PackagedModel.open(iris_onnx_package).environment() == []
