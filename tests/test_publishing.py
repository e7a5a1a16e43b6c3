"""A package into a registry and out again, for the registry in memory and the embedded one."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from penstock.errors import (
    FlavorUnknown,
    ModelNotFound,
    NameInvalid,
    PackageNotFound,
    SealBroken,
    SignatureIncompatible,
    VersionInUse,
    VersionNotFound,
)
from penstock.loading import load_version
from penstock.package import PackagedModel
from penstock.package.seal import write_seal
from penstock.publishing import publish, withdraw
from penstock.registry import Registry, open_registry

Copied = Callable[[Path], Path]


@pytest.fixture(params=["memory", "embedded"])
def registry(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Registry]:
    url = "memory:" if request.param == "memory" else str(tmp_path / "registry")
    opened = open_registry(url, artifacts=str(tmp_path / "artifacts"))
    opened.migrate()
    yield opened
    opened.close()


@pytest.fixture
def kept(tmp_path: Path) -> Callable[[], set[str]]:
    """The keys in the artifact directory."""
    root = tmp_path / "artifacts"
    return lambda: {p.parent.relative_to(root).as_posix() for p in root.glob("*/*/MLmodel")}


def test_a_published_package_is_registered_and_loads(registry: Registry, iris_onnx_package: Path) -> None:
    digest = PackagedModel.open(iris_onnx_package).digest
    version = publish(
        registry, "iris", iris_onnx_package, tags={"team": "botany"}, description="first", by="ann", reason="why not"
    )
    assert (version.version, version.digest, version.tags) == ("1", digest, {"team": "botany"})
    assert version.flavors == ("onnx", "python_function")
    assert version.description == "first"
    assert version.size_bytes == PackagedModel.open(iris_onnx_package).size_bytes
    assert version.aliases == ()
    assert registry.version("iris", "1") == version
    loaded = load_version(version)
    assert loaded.digest == digest
    assert loaded.signature is not None
    assert version.signature == loaded.signature.to_mlflow()


def test_the_copy_is_independent_of_the_original(
    registry: Registry, identity_onnx_package: Path, copied: Copied
) -> None:
    package = copied(identity_onnx_package)
    version = publish(registry, "m", package)
    shutil.rmtree(package)
    assert load_version(version).proof.repeats


def test_an_alias_is_promoted_with_who_and_why(registry: Registry, identity_onnx_package: Path) -> None:
    version = publish(registry, "m", identity_onnx_package, alias="production", by="ann", reason="release 7")
    assert version.aliases == ("production",)
    (move,) = registry.history("m")
    assert (move.by, move.reason, move.to_version) == ("ann", "release 7", "1")


def test_the_same_package_twice_is_two_versions_and_one_copy(
    registry: Registry, identity_onnx_package: Path, kept: Callable[[], set[str]]
) -> None:
    first, second = (publish(registry, "m", identity_onnx_package) for _ in range(2))
    assert (first.version, second.version) == ("1", "2")
    assert first.source == second.source
    assert kept() == {f"m/{first.digest}"}


def test_a_version_that_breaks_callers_is_registered_but_not_promoted(
    registry: Registry, identity_onnx_package: Path, iris_package: Path
) -> None:
    publish(registry, "m", identity_onnx_package, alias="production")
    with pytest.raises(SignatureIncompatible):
        publish(registry, "m", iris_package, alias="production")
    assert registry.resolve("m").version == "1"
    assert registry.version("m", "2").aliases == ()


class TestRefusals:
    """Nothing is copied and nothing registered."""

    @pytest.fixture(autouse=True)
    def nothing_is_left(self, registry: Registry, kept: Callable[[], set[str]]) -> Iterator[None]:
        yield
        assert registry.models() == []
        assert kept() == set()

    def test_a_package_with_a_broken_seal_is_not_published(
        self, registry: Registry, identity_onnx_package: Path, copied: Copied
    ) -> None:
        package = copied(identity_onnx_package)
        (package / "model.onnx").write_bytes(b"")
        with pytest.raises(SealBroken):
            publish(registry, "m", package)

    def test_an_absent_package_is_not_published(self, registry: Registry, tmp_path: Path) -> None:
        with pytest.raises(PackageNotFound):
            publish(registry, "m", tmp_path / "missing")

    def test_a_package_of_an_unknown_flavor_is_not_published(self, registry: Registry, tmp_path: Path) -> None:
        package = tmp_path / "odd"
        package.mkdir()
        (package / "MLmodel").write_text("flavors:\n  fastai: {}\n")
        write_seal(package)
        with pytest.raises(FlavorUnknown):
            publish(registry, "m", package)

    @pytest.mark.parametrize("name", ["", "a/b", "../m", ".hidden"])
    def test_nothing_is_published_under_a_bad_name(
        self, registry: Registry, identity_onnx_package: Path, name: str
    ) -> None:
        with pytest.raises(NameInvalid):
            publish(registry, name, identity_onnx_package)

    def test_nothing_is_published_with_a_bad_alias_or_tag(
        self, registry: Registry, identity_onnx_package: Path
    ) -> None:
        with pytest.raises(NameInvalid):
            publish(registry, "m", identity_onnx_package, alias="latest")
        with pytest.raises(NameInvalid):
            publish(registry, "m", identity_onnx_package, tags={"": "x"})


class TestWithdrawing:
    def test_a_withdrawn_version_takes_its_package_along(
        self, registry: Registry, identity_onnx_package: Path, iris_onnx_package: Path, kept: Callable[[], set[str]]
    ) -> None:
        publish(registry, "m", identity_onnx_package)
        other = publish(registry, "m", iris_onnx_package)
        withdraw(registry, "m", "1")
        assert kept() == {f"m/{other.digest}"}
        assert [v.version for v in registry.versions("m")] == ["2"]

    def test_a_package_that_another_version_uses_stays(
        self, registry: Registry, identity_onnx_package: Path, kept: Callable[[], set[str]]
    ) -> None:
        publish(registry, "m", identity_onnx_package)
        second = publish(registry, "m", identity_onnx_package)
        withdraw(registry, "m", "1")
        assert kept() == {f"m/{second.digest}"}
        assert load_version(registry.version("m", "2")).proof.repeats

    def test_another_models_copy_stays(
        self, registry: Registry, identity_onnx_package: Path, kept: Callable[[], set[str]]
    ) -> None:
        publish(registry, "m", identity_onnx_package)
        other = publish(registry, "n", identity_onnx_package)
        withdraw(registry, "m")
        assert kept() == {f"n/{other.digest}"}

    def test_a_withdrawn_model_takes_all_its_packages_along(
        self, registry: Registry, identity_onnx_package: Path, iris_onnx_package: Path, kept: Callable[[], set[str]]
    ) -> None:
        publish(registry, "m", identity_onnx_package)
        publish(registry, "m", iris_onnx_package)
        withdraw(registry, "m")
        assert kept() == set()
        assert registry.models() == []
        assert publish(registry, "m", identity_onnx_package).version == "3"

    def test_a_version_that_an_alias_names_is_not_withdrawn(
        self, registry: Registry, identity_onnx_package: Path, kept: Callable[[], set[str]]
    ) -> None:
        version = publish(registry, "m", identity_onnx_package, alias="production")
        for which in ("1", None):
            with pytest.raises(VersionInUse):
                withdraw(registry, "m", which)
        assert kept() == {f"m/{version.digest}"}

    def test_withdrawing_an_absent_model_or_version_is_an_error(
        self, registry: Registry, identity_onnx_package: Path
    ) -> None:
        with pytest.raises(ModelNotFound):
            withdraw(registry, "m")
        publish(registry, "m", identity_onnx_package)
        with pytest.raises(VersionNotFound):
            withdraw(registry, "m", "2")
