"""Loaded models for scoring, as `penstock score` loads them."""

from __future__ import annotations

from pathlib import Path

import pytest

from penstock.loading import LoadedModel, LoadOptions, load_path


@pytest.fixture(scope="session")
def iris(iris_package: Path) -> LoadedModel:
    return load_path(iris_package, LoadOptions(threads=1))


@pytest.fixture(scope="session")
def iris_onnx(iris_onnx_package: Path) -> LoadedModel:
    return load_path(iris_onnx_package, LoadOptions(threads=1))
