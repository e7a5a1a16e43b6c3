"""Opening packages, and who may load what."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skops.io
import yaml
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from penstock.cli.remedies import hint_of
from penstock.errors import (
    ArtifactInvalid,
    CodeNotTrusted,
    FlavorUnknown,
    PackageInvalid,
    PackageNotFound,
    PenstockError,
)
from penstock.flavors.sklearn.flavor import SklearnFlavor
from penstock.flavors.sklearn.predictor import SklearnPredictor
from penstock.flavors.sklearn.trusted_types import TRUSTED_TYPES, untrusted
from penstock.manifest import FILE_NAME, Manifest
from penstock.package import PackagedModel
from penstock.package.save import save_model
from penstock.payload import Tensors

X = np.array([[0.0, 1.0], [1.0, 0.0], [2.0, 3.0]])
ROWS = Tensors.single(X)


def rewrite(place: Path, change: Callable[[dict[str, Any]], None]) -> PackagedModel:
    """The package with its manifest changed, as somebody hostile might."""
    content = yaml.safe_load((place / FILE_NAME).read_bytes())
    change(content)
    (place / FILE_NAME).write_bytes(Manifest(content).dump())
    return PackagedModel.open(place)


def test_a_directory_that_is_absent_or_has_no_manifest_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PackageNotFound):
        PackagedModel.open(tmp_path / "absent")
    with pytest.raises(PackageInvalid):
        PackagedModel.open(tmp_path)


def test_a_package_describes_itself(iris_package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(iris_package.parent)
    package = PackagedModel.open("iris")
    assert package.path == iris_package
    assert len(package.digest) == 64
    assert package.size_bytes > 1000
    assert package.sealed
    assert package.flavor().name == "sklearn"


def test_a_package_shows_what_its_user_has_to_know(tmp_path: Path, iris_package: Path, python_package: Path) -> None:
    assert repr(PackagedModel.open(iris_package)) == (
        f"<PackagedModel {iris_package} (sklearn, data-only) takes sepal_length: double, sepal_width: double, "
        "petal_length: double, petal_width: double, gives int64[-1]>"
    )
    assert "(python_function, carries code) takes " in repr(PackagedModel.open(python_package))
    (tmp_path / "MLmodel").write_text("flavors: {spark: {}}")
    opened = PackagedModel.open(tmp_path)
    assert repr(opened) == f"<PackagedModel {tmp_path} (spark, cannot be loaded) takes anything, gives anything>"


@pytest.mark.parametrize("fixture", ["iris_package", "iris_onnx_package", "identity_onnx_package"])
def test_data_only_packages_load_without_trust(fixture: str, request: pytest.FixtureRequest) -> None:
    package = PackagedModel.open(request.getfixturevalue(fixture))
    assert package.code_reasons() == []
    example = package.example()
    assert example is not None
    package.load().predict(example.payload, example.params)


def test_the_refusal_names_file_reason_and_remedy(python_package: Path) -> None:
    package = PackagedModel.open(python_package)
    with pytest.raises(CodeNotTrusted, match=r"model\.py is Python") as caught:
        package.load()
    assert "--trust-code" in hint_of(caught.value)
    assert "convert" not in hint_of(caught.value)  # that is for pickled estimators alone
    package.load(trust_code=True)


def test_a_pickled_estimator_can_become_data_only(tmp_path: Path, iris_estimator: Any, iris_frame: Any) -> None:
    package = save_model(iris_estimator, tmp_path / "m", example=iris_frame.head(), serialization="cloudpickle")
    with pytest.raises(CodeNotTrusted, match=r"model\.pkl is a pickle") as caught:
        package.load()
    command = f"penstock package convert {package.path} -o {package.path}-data-only"
    assert hint_of(caught.value).endswith(f"To make a scikit-learn pickle data-only: {command}")
    assert "converting the package makes a scikit-learn pickle data-only." in str(caught.value)


def test_a_pickle_is_not_even_opened_without_trust(
    tmp_path: Path, iris_package: Path, copied: Callable[[Path], Path]
) -> None:
    place = copied(iris_package)
    mark = tmp_path / "ran"

    class Bomb:
        def __reduce__(self) -> Any:
            return (os.mkdir, (str(mark),))

    import pickle

    (place / "model.pkl").write_bytes(pickle.dumps(Bomb()))

    def as_pickle(content: dict[str, Any]) -> None:
        content["flavors"]["sklearn"].update(serialization_format="cloudpickle", pickled_model="model.pkl")

    package = rewrite(place, as_pickle)
    with pytest.raises(CodeNotTrusted, match=r"model\.pkl is a pickle"):
        package.load()
    assert not mark.exists()
    with pytest.raises(ArtifactInvalid):  # what it makes is no estimator
        package.load(trust_code=True)
    assert mark.exists()


@pytest.mark.parametrize("stated", ["skops", None])
def test_a_pickle_that_says_it_is_skops_is_not_opened(
    tmp_path: Path, iris_package: Path, copied: Callable[[Path], Path], stated: str | None
) -> None:
    import pickle

    place = copied(iris_package)
    (place / "model.skops").write_bytes(pickle.dumps(print))
    package = rewrite(place, lambda content: content["flavors"]["sklearn"].update(serialization_format=stated))
    for trust in (False, True):
        with pytest.raises(ArtifactInvalid, match=r"model\.skops is damaged or not a skops file"):
            package.load(trust_code=trust)


def test_a_dangerous_type_is_refused_whatever_the_manifest_claims(
    iris_package: Path, copied: Callable[[Path], Path]
) -> None:
    place = copied(iris_package)
    skops.io.dump(make_pipeline(FunctionTransformer(os.path.getsize), LinearRegression()), place / "model.skops")
    types = skops.io.get_untrusted_types(file=place / "model.skops")
    assert types
    package = rewrite(place, lambda content: content["flavors"]["sklearn"].update(skops_trusted_types=types))
    with pytest.raises(CodeNotTrusted, match=r"unreviewed types: genericpath\.getsize"):
        package.load()
    # The flavor refuses on its own, too, were the package's check ever left out.
    from penstock.flavors import LoadContext

    with pytest.raises(CodeNotTrusted):
        SklearnFlavor().load(LoadContext(place, package.manifest))


def test_the_shell_is_not_among_the_reviewed_types(iris_package: Path, copied: Callable[[Path], Path]) -> None:
    place = copied(iris_package)
    skops.io.dump(make_pipeline(FunctionTransformer(os.system), LinearRegression()), place / "model.skops")
    with pytest.raises(CodeNotTrusted, match=r"posix\.system|nt\.system"):
        PackagedModel.open(place).load()


def test_reviewed_types_are_numbers_alone() -> None:
    assert all(name.split(".")[0] in ("sklearn", "numpy", "scipy") for name in TRUSTED_TYPES)
    risky = ("system", "eval", "exec", "open", "load", "import", "getattr", "call", "Popen", "memmap", "fromfile")
    assert not [name for name in TRUSTED_TYPES if any(word in name.rsplit(".", 1)[1] for word in risky)]
    assert untrusted(["os.system", "sklearn.tree._tree.Tree", "os.system"]) == ["os.system"]


def test_code_beside_data_needs_trust(iris_package: Path, copied: Callable[[Path], Path]) -> None:
    place = copied(iris_package)
    (place / "code").mkdir()
    (place / "code" / "shadow_of_iris.py").write_text("raise SystemExit\n")
    package = rewrite(place, lambda content: content["flavors"]["python_function"].update(code="code"))
    with pytest.raises(CodeNotTrusted, match="code/ holds Python modules"):
        package.load()


@pytest.mark.parametrize("path", ["../outside", "/etc/passwd", "a/../../outside", "x\0y", "n" * 5000, 5, ["x"], "."])
@pytest.mark.parametrize(
    ("fixture", "flavor", "key"),
    [
        ("iris_package", "sklearn", "pickled_model"),
        ("iris_onnx_package", "onnx", "data"),
        ("python_package", "python_function", "source"),
    ],
)
def test_artifacts_lie_inside_the_package(
    fixture: str, flavor: str, key: str, path: Any, request: pytest.FixtureRequest, copied: Callable[[Path], Path]
) -> None:
    place = copied(request.getfixturevalue(fixture))
    (place.parent / "outside").write_text("secret")

    def change(content: dict[str, Any]) -> None:
        content["flavors"][flavor][key] = path
        for name in ("data", "model_path"):
            if flavor != "python_function":
                content["flavors"]["python_function"].pop(name, None)

    package = rewrite(place, change)
    with pytest.raises(PenstockError) as caught:
        package.load(trust_code=True)
    assert isinstance(caught.value, (PackageInvalid, ArtifactInvalid))
    assert len(str(caught.value)) < 600


@pytest.mark.parametrize(("fixture", "key"), [("python_package", "code"), ("iris_package", "code")])
def test_code_directories_lie_inside_the_package(
    fixture: str, key: str, request: pytest.FixtureRequest, copied: Callable[[Path], Path]
) -> None:
    place = copied(request.getfixturevalue(fixture))
    outside = place.parent / "outside"
    outside.mkdir()
    (outside / "loader_out_there.py").write_text("raise SystemExit\n")

    def change(content: dict[str, Any]) -> None:
        content["flavors"]["python_function"].update(code="../outside")
        if fixture == "python_package":
            content["flavors"]["python_function"].update(loader_module="loader_out_there")

    with pytest.raises(PackageInvalid, match=r"code directory.*outside the package"):
        rewrite(place, change).load(trust_code=True)


def test_a_package_with_a_link_in_it_is_not_loaded(iris_package: Path, copied: Callable[[Path], Path]) -> None:
    place = copied(iris_package)
    (place / "model.skops").unlink()
    (place / "model.skops").symlink_to(iris_package / "model.skops")
    with pytest.raises(PackageInvalid):
        PackagedModel.open(place).load()


def test_the_flavor_may_be_overridden(iris_package: Path) -> None:
    package = PackagedModel.open(iris_package)
    assert isinstance(package.load(flavor="sklearn"), SklearnPredictor)
    with pytest.raises(FlavorUnknown, match="no flavor 'onnx'"):
        package.load(flavor="onnx")
    with pytest.raises(CodeNotTrusted):
        package.load(flavor="python_function")


def test_answers_do_not_depend_on_how_the_package_was_found(tmp_path: Path) -> None:
    saved = save_model(LinearRegression().fit(X, [1, 2, 3]), tmp_path / "m", example=X)
    digest = saved.digest
    moved = tmp_path / "elsewhere" / "n"
    moved.parent.mkdir()
    saved.path.rename(moved)
    package = PackagedModel.open(moved)
    package.verify()
    assert package.digest == digest
    answer = package.load().predict(ROWS, {})
    assert isinstance(answer, Tensors)
    assert np.allclose(answer.arrays[0], [1, 2, 3])
