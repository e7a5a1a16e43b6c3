"""`penstock image`: the build context it writes. That it builds and runs is shown with real tools, elsewhere."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from commands import Here
from penstock import __version__
from penstock.cli.image import wanted_requirements
from penstock.errors import PackageInvalid
from penstock.package import PackagedModel


def image(directory: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "penstock", "image", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=directory, timeout=120)


def test_a_context(here: Here, iris_package: Path, tmp_path: Path) -> None:
    done = here("image", f"flowers={iris_package}", "-o", "build")
    assert done.returncode == 0, done.stderr
    assert "docker build -t flowers" in done.stdout
    text = (tmp_path / "build/Dockerfile").read_text()
    assert f"FROM penstock:{__version__}\n" in text
    assert "ENV PENSTOCK_MODELS=flowers=/models/flowers\n" in text
    assert "USER 10001:10001" in text
    assert "TRUST" not in text
    assert "scikit-learn==" in (tmp_path / "build/requirements.txt").read_text()
    PackagedModel.open(tmp_path / "build/model").verify()


def test_an_onnx_model_needs_less(iris_onnx_package: Path, tmp_path: Path) -> None:
    assert image(tmp_path, iris_onnx_package, "-o", "build", "--no-requirements").returncode == 0
    text = (tmp_path / "build/Dockerfile").read_text()
    assert f"FROM penstock:{__version__}-onnx\n" in text
    assert "pip" not in text


def test_code_wants_trust(here: Here, python_package: Path, tmp_path: Path) -> None:
    done = here("image", python_package, "-o", "build")
    assert done.returncode == 1
    assert "--trust-code" in done.stderr
    assert not (tmp_path / "build").exists()
    assert here("image", python_package, "-o", "build", "--trust-code").returncode == 0
    assert "ENV PENSTOCK_TRUST_CODE=1\n" in (tmp_path / "build/Dockerfile").read_text()


def test_a_place_that_is_taken(here: Here, iris_package: Path, tmp_path: Path) -> None:
    (tmp_path / "build").mkdir()
    done = here("image", iris_package, "-o", "build")
    assert done.returncode == 1
    assert "exists already" in done.stderr


@pytest.mark.parametrize("name", ["a b", "../x", "x\nRUN y"])
def test_a_name_that_would_be_more(here: Here, iris_package: Path, tmp_path: Path, name: str) -> None:
    assert here("image", iris_package, "-o", "build", "--name", name).returncode != 0
    assert not (tmp_path / "build").exists()


class TestRequirements:
    def packaged(self, directory: Path, text: str) -> PackagedModel:
        (directory / "MLmodel").write_text("flavors:\n  python_function:\n    loader_module: m\n")
        (directory / "requirements.txt").write_text(text)
        return PackagedModel.open(directory)

    def test_mlflow_is_left_out(self, tmp_path: Path) -> None:
        text = "mlflow==3.18.0\nmlflow-skinny\nmlflow[auth]>=2\nnumpy==2.0 # fine\n\n# no\nmlflowish==1\n"
        assert wanted_requirements(self.packaged(tmp_path, text)) == ["numpy==2.0", "mlflowish==1"]

    @pytest.mark.parametrize("line", ["--index-url http://evil", "-e .", "./x.whl", "x @ https://evil/x.whl"])
    def test_lines_that_fetch_from_elsewhere(self, tmp_path: Path, line: str) -> None:
        with pytest.raises(PackageInvalid, match="plain requirement"):
            wanted_requirements(self.packaged(tmp_path, f"numpy\n{line}\n"))
