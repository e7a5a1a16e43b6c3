"""What a user names as MODEL becomes a loaded model, for Python as for commands."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import penstock
from penstock.errors import CodeNotTrusted, ConfigError, ModelNotFound, PackageNotFound
from penstock.registry import Registry

ROWS = [{"a": 1.0, "b": 10.0}]


@pytest.fixture
def place(tmp_path: Path, python_package: Path) -> Path:
    """A registry with two versions of `adder`; `production` and `champion` are the first."""
    registry = penstock.open_registry(tmp_path / "registry")
    penstock.publish(registry, "adder", python_package, alias="production")
    registry.promote("adder", "1", "champion", by="a test")
    source = tmp_path / "zero.py"
    source.write_text("def predict(inputs, params):\n    return [0.0] * len(inputs)\n")
    penstock.save_model(source, tmp_path / "zero", example=pd.DataFrame({"a": [1.0], "b": [1.0]}))
    penstock.publish(registry, "adder", tmp_path / "zero")
    registry.close()
    return tmp_path / "registry"


@pytest.mark.parametrize(
    ("model", "version", "answer"),
    [
        ("adder", "1", [22.0]),
        ("models:/adder@champion", "1", [22.0]),
        ("models:/adder/2", "2", [0.0]),
        ("models:/adder/latest", "2", [0.0]),
    ],
)
def test_a_name_means_what_it_means_on_the_command_line(
    place: Path, model: str, version: str, answer: list[float]
) -> None:
    with penstock.load_model(model, registry=place, trust_code=True) as loaded:
        assert (loaded.name, loaded.version) == ("adder", version)
        assert loaded.predict(ROWS) == answer


def test_the_registry_may_come_from_the_variable_or_from_the_working_directory(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PENSTOCK_REGISTRY", str(place))
    with penstock.load_model("adder", trust_code=True) as loaded:
        assert loaded.version == "1"
    monkeypatch.delenv("PENSTOCK_REGISTRY")
    place.rename(place.parent / "penstock-registry")
    monkeypatch.chdir(place.parent)
    with penstock.load_model("adder", trust_code=True) as loaded:
        assert loaded.version == "1"


def test_a_registry_that_the_caller_opened_stays_open(place: Path) -> None:
    registry = penstock.open_registry(place, read_only=True)
    assert isinstance(registry, Registry)
    with penstock.load_model("adder", registry=registry, trust_code=True):
        assert registry.resolve("adder", "production").version == "1"
    with pytest.raises(ModelNotFound, match="nor is there a directory nothing"):
        penstock.load_model("nothing", registry=registry)
    assert [found.name for found in registry.models()] == ["adder"]
    registry.close()


def test_a_path_is_a_path_even_if_it_looks_like_a_name(
    identity_onnx_package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("plain").symlink_to(identity_onnx_package)
    for model in ("plain", Path("plain"), "./plain", "other=./plain", f"file://{identity_onnx_package}"):
        with penstock.load_model(model) as loaded:
            assert loaded.version == loaded.digest[:12]
            assert loaded.name in ("identity", "other")
    with pytest.raises(PackageNotFound, match="missing"):
        penstock.load_model(Path("missing"))  # and no question to a registry


def test_a_package_in_an_object_store_is_loaded_from_the_cache(bucket: str, identity_onnx_package: Path, tmp_path: Path,
                                  monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    import fsspec

    monkeypatch.setenv("PENSTOCK_CACHE", str(tmp_path / "cache"))
    fsspec.filesystem("s3").put(str(identity_onnx_package), f"{bucket}/identity", recursive=True)
    with penstock.load_model(f"{bucket}/identity") as loaded:
        assert loaded.name == "identity"
        assert loaded.loaded.package.path.is_relative_to(tmp_path / "cache")


def test_code_is_loaded_only_where_it_is_trusted(python_package: Path) -> None:
    with pytest.raises(CodeNotTrusted):
        penstock.load_model(python_package)


def test_patterns_and_conda_are_no_single_model_here(python_package: Path) -> None:
    with pytest.raises(ConfigError, match="several models"):
        penstock.load_model("models:/team-*@production")
    with pytest.raises(ConfigError, match="conda"):
        penstock.load_model(python_package, env_manager="conda")


def test_another_flavor_may_be_asked_for(iris_package: Path) -> None:
    with penstock.load_model(iris_package, flavor="sklearn") as loaded:
        assert loaded.flavor == "sklearn"


def test_publishing_keeps_the_package_apart_from_where_it_was_made(place: Path) -> None:
    """What `load_model` reads of a registry is its own copy."""
    with penstock.load_model("adder", registry=place, trust_code=True) as loaded:
        assert loaded.loaded.package.path.is_relative_to(place.resolve())


@pytest.mark.parametrize("model", [None, 3, b"x", ["a"]])
def test_what_names_no_model_is_refused(model: Any) -> None:
    with pytest.raises(ConfigError, match="MODEL is a path, URL or name, not"):
        penstock.load_model(model)
