"""What a pickle names, and what its package is told about it."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import cloudpickle
import joblib
import numpy as np
import pytest
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from penstock.flavors.sklearn.pickle_types import foreign_types
from penstock.package import PackagedModel
from penstock.package.save import save_model

FIT = LinearRegression().fit([[0.0], [1.0]], [0.0, 1.0])


class Doubling(LinearRegression):  # type: ignore[misc]
    """An estimator that is nobody's but ours."""


def usual() -> Any:
    return make_pipeline(FunctionTransformer(np.log1p), LinearRegression()).fit([[0.0], [1.0]], [0.0, 1.0])


@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_the_libraries_below_an_estimator_are_not_foreign(tmp_path: Path, protocol: int) -> None:
    (tmp_path / "model.pkl").write_bytes(pickle.dumps(usual(), protocol))
    assert foreign_types(tmp_path / "model.pkl") == []


@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_a_class_of_ones_own_is_named(tmp_path: Path, protocol: int) -> None:
    (tmp_path / "model.pkl").write_bytes(pickle.dumps(Doubling().fit([[0.0], [1.0]], [0, 1]), protocol))
    assert foreign_types(tmp_path / "model.pkl") == [f"{__name__}.Doubling"]


def test_a_function_by_value_is_foreign(tmp_path: Path) -> None:
    model = make_pipeline(FunctionTransformer(lambda x: np.add(x, 1)), LinearRegression()).fit([[0.0], [1.0]], [0, 1])
    (tmp_path / "model.pkl").write_bytes(cloudpickle.dumps(model))
    assert any(name.startswith("cloudpickle.") for name in foreign_types(tmp_path / "model.pkl"))


def test_of_what_cannot_be_read_nothing_is_said(tmp_path: Path) -> None:
    joblib.dump(FIT, tmp_path / "plain.joblib")
    joblib.dump(FIT, tmp_path / "packed.joblib", compress=3)
    (tmp_path / "damaged").write_bytes(b"\x80\x05nonsense")
    assert [foreign_types(tmp_path / name) for name in ("plain.joblib", "packed.joblib", "damaged")] == [[], [], []]


def test_converting_is_only_advised_where_it_can_help(tmp_path: Path) -> None:
    save_model(FIT, tmp_path / "usual", serialization="cloudpickle")
    assert PackagedModel.open(tmp_path / "usual").convertible() == "a scikit-learn pickle"
    own = make_pipeline(FunctionTransformer(lambda x: np.add(x, 1)), LinearRegression()).fit([[0.0], [1.0]], [0, 1])
    save_model(own, tmp_path / "own", serialization="cloudpickle")
    assert PackagedModel.open(tmp_path / "own").convertible() == ""


def test_packaging_says_which_type_made_it_a_pickle(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    save_model(Doubling().fit([[0.0], [1.0]], [0.0, 1.0]), tmp_path / "own")
    assert f"stored as a pickle, which carries code: it holds '{__name__}.Doubling'" in caplog.text
