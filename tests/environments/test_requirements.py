"""Which lines of a package's requirement files are followed, and which are not."""

from __future__ import annotations

import pytest
import yaml

from environments.conftest import MakePackage
from penstock.cli.remedies import hint_of
from penstock.environments.requirements import HOST_NEEDS, LEAST, joined, read_wanted
from penstock.errors import PackageInvalid

SKLEARN = {"sklearn": {"pickled_model": "model.pkl", "sklearn_version": "1.6.1"}}
ONNX = {"onnx": {"data": "model.onnx"}}


def test_a_trusted_package_gets_what_it_lists_and_what_the_host_needs(make_package: MakePackage) -> None:
    wanted = read_wanted(
        make_package("alpha[fast]==1.0 ; python_version >= '3.8'", "# a note", "numpy<3"), trust_code=True
    )
    assert wanted.requirements == (
        "alpha[fast]==1.0 ; python_version >= '3.8'", "numpy<3", "cloudpickle", "orjson", "pandas", "pyyaml",
    )  # fmt: skip
    assert not wanted.wheels_only
    assert wanted.left_out == ()


def test_a_package_that_nobody_trusts_gets_reviewed_libraries_from_wheels(make_package: MakePackage) -> None:
    package = make_package("evil==1.0", "Scikit_Learn==1.6.1", "numpy==2.1.0", flavors=SKLEARN)
    wanted = read_wanted(package, trust_code=False)
    assert wanted.wheels_only
    assert set(wanted.requirements) == {
        "Scikit_Learn==1.6.1", "numpy==2.1.0", "joblib", "orjson", "pandas", "pyyaml", "skops",
    }  # fmt: skip
    (left,) = wanted.left_out
    assert left.startswith("evil would run unreviewed code")


@pytest.mark.parametrize("end", ["\n", "\r", "\x0b", "\u2028"])
def test_an_entry_stays_on_one_line(make_package: MakePackage, end: str) -> None:
    """What comes after the end of a line would be installed unjudged."""
    entry = f"numpy ; os_name == 'posix'{end}evil==1.0"
    env = yaml.safe_dump({"dependencies": [entry]})
    wanted = read_wanted(make_package(files={"python_env.yaml": env}, flavors=ONNX), trust_code=False)
    assert all(len(asked.splitlines()) == 1 for asked in wanted.requirements)


def test_mlflow_goes_where_penstock_loads_the_artifact_itself(make_package: MakePackage) -> None:
    lines = ("mlflow==3.1.0", "onnxruntime==1.20.0")
    native = read_wanted(make_package(*lines, flavors=ONNX), trust_code=True)
    assert not any(line.startswith("mlflow") for line in native.requirements)
    assert "mlflow is not installed" in native.left_out[0]
    with_code = {"sklearn": {"pickled_model": "model.pkl", "code": "code"}}
    for name, flavors in (("python", None), ("code", with_code)):
        kept = read_wanted(make_package(*lines, flavors=flavors, name=name), trust_code=True)
        assert "mlflow==3.1.0" in kept.requirements


def test_a_library_that_is_not_listed_comes_in_the_version_of_the_manifest(make_package: MakePackage) -> None:
    assert "scikit-learn==1.6.1" in read_wanted(make_package(flavors=SKLEARN), trust_code=False).requirements


@pytest.mark.parametrize(
    "line",
    [
        "--index-url https://evil.example/simple", "--extra-index-url=https://evil.example", "-i https://evil.example",
        "--find-links https://evil.example", "--trusted-host evil.example", "--no-index", "--pre",
    ],
)  # fmt: skip
def test_where_distributions_come_from_is_not_the_packages_to_say(make_package: MakePackage, line: str) -> None:
    wanted = read_wanted(make_package(line, "alpha==1.0"), trust_code=True)
    assert not any("evil" in asked or asked.startswith("-") for asked in wanted.requirements)
    assert any(line.split("=")[0].split()[0] in reason for reason in wanted.left_out)


@pytest.mark.parametrize(
    "line",
    [
        "-e .", "-e git+https://evil.example/x.git", "--editable ./x", "git+https://evil.example/x.git", "..",
        "alpha @ https://evil.example/alpha-1.0-py3-none-any.whl", "alpha @ file:///etc/passwd", "./alpha.whl",
        "/tmp/alpha", "https://evil.example/alpha-1.0.tar.gz", "alpha==1.0 --index-url https://evil.example",
        "alpha==1.0 beta==2.0", "alpha==1.0 ; python_version > '3' @ https://evil.example", "--config-settings x=y",
        "alpha==1.0 --global-option=x", "alpha==1.0 --hash=md5:aa", "alpha; os_name == 'posix' \\ -e .", "=1.0",
        "alpha " + "x" * 600, "${HOME}/x",
    ],
)  # fmt: skip
def test_a_line_that_is_no_name_with_versions_is_refused(make_package: MakePackage, line: str) -> None:
    with pytest.raises(PackageInvalid, match=r"requirements\.txt .* in line 2") as caught:
        read_wanted(make_package("beta", line), trust_code=True)
    assert "--wheels" in hint_of(caught.value)


@pytest.mark.parametrize("file", ["/etc/passwd", "../secret.txt", "missing.txt"])
def test_other_files_are_read_inside_the_package_alone(make_package: MakePackage, file: str) -> None:
    with pytest.raises(PackageInvalid, match="not in the package"):
        read_wanted(make_package(f"-r {file}"), trust_code=True)


def test_constraints_and_further_files_are_followed_once(make_package: MakePackage) -> None:
    files = {"constraints.txt": "beta<2\n", "more.txt": "gamma\n-r requirements.txt\n"}
    wanted = read_wanted(make_package("alpha", "-c constraints.txt", "-r more.txt", files=files), trust_code=True)
    assert wanted.constraints == (*LEAST, "beta<2")
    assert wanted.requirements[:2] == ("alpha", "gamma")


def test_conda_is_read_where_there_is_nothing_else(make_package: MakePackage) -> None:
    conda = "dependencies:\n- python=3.12.1\n- pip<24\n- libgomp\n- pip:\n  - alpha==1.0\n"
    package = make_package(files={"conda.yaml": conda})
    (package.path / "python_env.yaml").unlink()
    (package.path / "requirements.txt").unlink()
    wanted = read_wanted(package, trust_code=True)
    assert wanted.python == "3.12.1"
    assert wanted.requirements[0] == "alpha==1.0"
    assert wanted.left_out == ("'libgomp' is a conda package",)


def test_a_package_without_requirement_files_gets_what_its_flavor_needs(make_package: MakePackage) -> None:
    package = make_package(flavors=ONNX)
    (package.path / "python_env.yaml").unlink()
    (package.path / "requirements.txt").unlink()
    assert set(read_wanted(package, trust_code=False).requirements) == {*HOST_NEEDS, "onnxruntime"}


@pytest.mark.parametrize("text", ["a: &x [1]\nb: *x", "\x00", "[" * 2000, "- just\n- a list"])
def test_odd_yaml_is_refused_or_means_nothing(make_package: MakePackage, text: str) -> None:
    package = make_package("alpha", files={"python_env.yaml": text})
    if text.startswith("-"):
        assert read_wanted(package, trust_code=True).requirements[0] == "alpha"
    else:
        with pytest.raises(PackageInvalid, match=r"python_env\.yaml"):
            read_wanted(package, trust_code=True)


def test_long_spaces_cost_no_time(make_package: MakePackage) -> None:
    with pytest.raises(PackageInvalid):
        read_wanted(make_package("beta", "a" + " " * 400_000 + "x"), trust_code=True)


def test_lines_are_put_together_and_counted() -> None:
    assert list(joined(["a \\", "  b", "", "# c", "d # e", "f \\"])) == [(1, "a b"), (5, "d"), (6, "f")]


@pytest.mark.parametrize("line", ["pandas>=2", "pandas~=2.2", "pandas", "pandas==2.*", "pandas===2.2", "pandas!=1.0"])
def test_of_a_package_that_nobody_trusts_plain_pins_are_installed_alone(make_package: MakePackage, line: str) -> None:
    package = make_package("numpy[all]==2.1.0 ; python_version >= '3.8'", line, flavors=ONNX)
    wanted = read_wanted(package, trust_code=False)
    assert wanted.listed == ("numpy[all]==2.1.0 ; python_version >= '3.8'",)
    assert any(left.startswith("pandas is listed as") for left in wanted.left_out)
    assert line in read_wanted(package, trust_code=True).listed


def test_constraints_of_a_package_that_nobody_trusts_are_pins_too(make_package: MakePackage) -> None:
    files = {"limits.txt": "scipy==1.14.0\nnumpy<3\n"}
    package = make_package("-c limits.txt", files=files, flavors=ONNX)
    assert read_wanted(package, trust_code=False).constraints == ("numpy>=2", "scipy==1.14.0")
    assert read_wanted(package, trust_code=True).constraints == ("numpy>=2", "scipy==1.14.0", "numpy<3")


def test_an_option_after_a_marker_is_no_marker(make_package: MakePackage) -> None:
    with pytest.raises(PackageInvalid, match="invalid requirement"):
        read_wanted(make_package("numpy==2.1.0 ; python_version >= '3' --config-settings=x=y"), trust_code=True)
