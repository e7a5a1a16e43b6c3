"""`penstock image`: the build context it writes. That it builds and runs is shown with real tools, elsewhere."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from penstock import __version__
from penstock.cli.image import wanted_requirements
from penstock.errors import PackageInvalid
from penstock.package import PackagedModel
from support.commands import Here


def image(directory: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "penstock", "image", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=directory, timeout=120)


def test_image_writes_a_context_for_docker_build(here: Here, iris_package: Path, tmp_path: Path) -> None:
    done = here("image", f"flowers={iris_package}", "-o", "build")
    assert done.returncode == 0, done.stderr
    assert "docker build -t flowers" in done.stdout
    text = (tmp_path / "build/Dockerfile").read_text()
    assert f"FROM penstock:{__version__}\n" in text
    assert "ENV PENSTOCK_MODELS=flowers=/models/flowers\n" in text
    assert "USER 10001:10001" in text
    assert "TRUST" not in text
    assert "--only-binary :all:" in text
    assert "scikit-learn==" in (tmp_path / "build/requirements.txt").read_text()
    assert "numpy>=2\n" in (tmp_path / "build/constraints.txt").read_text()
    PackagedModel.open(tmp_path / "build/model").verify()


def test_an_onnx_model_gets_the_onnx_image(iris_onnx_package: Path, tmp_path: Path) -> None:
    assert image(tmp_path, iris_onnx_package, "-o", "build", "--no-requirements").returncode == 0
    text = (tmp_path / "build/Dockerfile").read_text()
    assert f"FROM penstock:{__version__}-onnx\n" in text
    assert "pip" not in text


def test_a_package_that_carries_code_needs_trust(here: Here, python_package: Path, tmp_path: Path) -> None:
    done = here("image", python_package, "-o", "build")
    assert done.returncode == 1
    assert "--trust-code" in done.stderr
    assert not (tmp_path / "build").exists()
    assert here("image", python_package, "-o", "build", "--trust-code").returncode == 0
    text = (tmp_path / "build/Dockerfile").read_text()
    assert "ENV PENSTOCK_TRUST_CODE=1\n" in text
    assert "--only-binary" not in text


def test_a_directory_that_exists_is_left_alone(here: Here, iris_package: Path, tmp_path: Path) -> None:
    (tmp_path / "build").mkdir()
    done = here("image", iris_package, "-o", "build")
    assert done.returncode == 1
    assert "exists already" in done.stderr


@pytest.mark.parametrize("name", ["a b", "../x", "x\nRUN y"])
def test_a_name_that_is_more_than_a_name_is_refused(here: Here, iris_package: Path, tmp_path: Path, name: str) -> None:
    assert here("image", iris_package, "-o", "build", "--name", name).returncode != 0
    assert not (tmp_path / "build").exists()


class TestRequirements:
    def packaged(self, directory: Path, text: str, flavor: str = "onnx: {data: model.onnx}") -> PackagedModel:
        (directory / "MLmodel").write_text(f"flavors:\n  {flavor}\n")
        (directory / "requirements.txt").write_text(text)
        return PackagedModel.open(directory)

    def test_mlflow_is_left_out(self, tmp_path: Path) -> None:
        text = "mlflow==3.18.0\nmlflow-skinny\nmlflow[auth]>=2\nnumpy==2.0 # fine\n\n# no\nmlflowish==1\n"
        packaged = self.packaged(tmp_path, text, "python_function: {loader_module: m}")
        assert wanted_requirements(packaged, trust_code=True).listed == ("numpy==2.0", "mlflowish==1")

    def test_without_trust_only_what_was_reviewed_is_installed(self, tmp_path: Path) -> None:
        wanted = wanted_requirements(self.packaged(tmp_path, "evil==1\nonnxruntime==1.20.0\n"), trust_code=False)
        assert wanted.listed == ("onnxruntime==1.20.0",)
        assert wanted.wheels_only
        (reason,) = wanted.left_out
        assert reason.startswith("evil would run unreviewed code")

    def test_where_things_come_from_is_not_the_packages_to_say(self, tmp_path: Path) -> None:
        packaged = self.packaged(tmp_path, "--index-url http://evil\n--extra-index-url=http://evil\nnumpy\n")
        wanted = wanted_requirements(packaged, trust_code=True)
        assert wanted.listed == ("numpy",)
        assert len(wanted.left_out) == 2

    @pytest.mark.parametrize(
        "line",
        ["-e .", "./x.whl", "/tmp/x", "x @ https://evil/x.whl", "git+https://evil/x.git", "numpy --index-url http://e"],
    )
    @pytest.mark.parametrize("trust_code", [False, True])
    def test_requirements_that_fetch_from_elsewhere_are_refused(
        self, tmp_path: Path, line: str, trust_code: bool
    ) -> None:
        with pytest.raises(PackageInvalid, match=r"requirements\.txt has .* in line 2: ") as caught:
            wanted_requirements(self.packaged(tmp_path, f"numpy\n{line}\n"), trust_code=trust_code)
        assert line in str(caught.value)
        assert "--no-requirements" in caught.value.hint
        assert "--wheels" not in str(caught.value), "that is for environments"

    def test_the_command_names_what_it_left_out(self, here: Here, iris_onnx_package: Path, tmp_path: Path) -> None:
        copied = Path(shutil.copytree(iris_onnx_package, tmp_path / "copied"))
        (copied / "SHA256SUMS").unlink(missing_ok=True)
        (copied / "python_env.yaml").unlink(missing_ok=True)
        (copied / "requirements.txt").write_text("numpy==2.1.0\nevil==1\n")
        done = here("image", copied, "-o", "build")
        assert done.returncode == 0, done.stderr
        assert "Left out: evil would run unreviewed code, which needs trust_code." in done.stderr
        assert (tmp_path / "build/requirements.txt").read_text() == "numpy==2.1.0\n"
        (copied / "requirements.txt").write_text("git+https://evil.test/x\n")
        done = here("image", copied, "-o", "other")
        assert done.returncode == 1
        assert "in line 1" in done.stderr
        assert not (tmp_path / "other").exists()
