"""Shared fixtures: small packaged models, each a pathlib.Path to a sealed package, made once per session.

Tests read them and never change them; a test that wants to break a package copies it first (`copied`).
"""

from __future__ import annotations

import os
import shutil
import sys
import zlib
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, settings

from penstock.package.save import save_model
from support.commands import Here, here_in
from support.leftovers import put_back
from support.migrated import replayed_migrations
from support.postgres import POSTGRES_VARIABLE, Postgres, postgres_server, schema
from support.s3 import s3_data_read_once, s3_server, s3_variables

# Images often set this, and then each of hundreds of processes compiles what it imports, and pytest all tests.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# A second thread gains these models nothing; where others run too, it waits for them at every step.
os.environ.setdefault("OMP_NUM_THREADS", "1")

if find_spec("sniffio") is None:
    sys.modules["sniffio"] = None  # type: ignore[assignment]  # httpx looks for it with every request, everywhere

# The same examples in every run, also on a machine that is slow to make them.
settings.register_profile("penstock", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("penstock")


@pytest.fixture(autouse=True)
def process_as_before() -> Iterator[None]:
    """Whatever a command sets up for its whole process, in this one ends with the test."""
    with put_back():
        yield


IRIS_COLUMNS = ["sepal_length", "sepal_width", "petal_length", "petal_width"]

PYTHON_MODEL = '''
"""Adds `offset` to the sum of each row's columns."""

import numpy as np


class Model:
    def load(self, context):
        self.scale = context.model_config.get("scale", 1.0)

    def predict(self, inputs, params):
        return np.asarray(inputs, dtype=np.float64).sum(axis=1) * self.scale + params.get("offset", 0.0)
'''


@pytest.fixture(scope="session")
def iris_frame() -> Any:
    """Iris measurements (150, 4) as a frame with short column names."""
    from sklearn.datasets import load_iris

    frame = load_iris(as_frame=True).data
    frame.columns = IRIS_COLUMNS
    return frame


@pytest.fixture(scope="session")
def iris_target() -> Any:
    from sklearn.datasets import load_iris

    return load_iris().target


@pytest.fixture(scope="session")
def iris_estimator(iris_frame: Any, iris_target: Any) -> Any:
    """A logistic regression behind a scaler, fitted on the frame."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(StandardScaler(), LogisticRegression(max_iter=500)).fit(iris_frame, iris_target)


@pytest.fixture(scope="session")
def iris_package(tmp_path_factory: pytest.TempPathFactory, iris_estimator: Any, iris_frame: Any) -> Path:
    """scikit-learn, skops, data-only; four named double columns in, a label of 0, 1 or 2 out (one a row)."""
    target = tmp_path_factory.mktemp("packages") / "iris"
    return save_model(iris_estimator, target, example=iris_frame.iloc[::10]).path


@pytest.fixture(scope="session")
def iris_onnx_package(tmp_path_factory: pytest.TempPathFactory, iris_estimator: Any, iris_frame: Any) -> Path:
    """The same model as an ONNX graph: a float array (-1, 4) in, `label` (-1,) and `probabilities` (-1, 3) out."""
    from skl2onnx import to_onnx

    rows = iris_frame.to_numpy(dtype=np.float32)
    # Fitted names would give the graph one input a column.
    graph = to_onnx(
        iris_estimator,
        rows[:1],
        options={"zipmap": False},
        target_opset=17,
    )
    target = tmp_path_factory.mktemp("packages") / "iris-onnx"
    return save_model(graph, target, example=rows[::10]).path


@pytest.fixture(scope="session")
def identity_onnx_package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An ONNX graph whose answer is its input: `x`, floats (-1, 3) in, `y` the same out."""
    target = tmp_path_factory.mktemp("packages") / "identity"
    example = np.arange(12, dtype=np.float32).reshape(4, 3)
    return save_model(identity_graph(), target, example=example).path


def identity_graph() -> Any:
    """An onnx.ModelProto: y = x, floats of shape (-1, 3)."""
    from onnx import TensorProto, helper

    graph = helper.make_graph(
        [helper.make_node("Identity", ["x"], ["y"])],
        "identity",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows", 3])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["rows", 3])],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


@pytest.fixture(scope="session")
def python_package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Python source (code-carrying), batchable: columns a and b (doubles) in, their sum × 2 plus the param `offset`."""
    import pandas as pd

    place = tmp_path_factory.mktemp("packages")
    source = place / "adder.py"
    source.write_text(PYTHON_MODEL, encoding="utf-8")
    return save_model(
        source,
        place / "adder",
        example=pd.DataFrame({"a": [1.0, 2.0, 3.0], "b": [10.0, 20.0, 30.0]}),
        params={"offset": 0.0},
        config={"scale": 2.0},
        batchable=True,
    ).path


@pytest.fixture
def copied(tmp_path: Path) -> Callable[[Path], Path]:
    """Copies a package so that a test may change it; the copy keeps its seal."""

    def copy(package: Path) -> Path:
        return Path(shutil.copytree(package, tmp_path / f"{package.name}-copy"))

    return copy


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Here:
    """Runs `penstock ARGUMENTS` in this process, in an empty directory."""
    return here_in(tmp_path, monkeypatch, capfd)


@pytest.fixture(scope="session", autouse=True)
def quick_migrations() -> Iterator[None]:
    with replayed_migrations():
        yield


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A real server of our own, which a test may stop, if it starts it again."""
    with postgres_server() as server:
        yield server


@pytest.fixture
def postgres_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """An empty schema of a real PostgreSQL: ours, or the one that a variable names."""
    with schema(os.environ.get(POSTGRES_VARIABLE) or request.getfixturevalue("postgres").url) as url:
        yield url


@pytest.fixture
def own_postgres_url(postgres: Postgres) -> Iterator[str]:
    """An empty schema of the server that may be stopped."""
    with schema(postgres.url) as url:
        yield url


@pytest.fixture(scope="session")
def s3_endpoint() -> Iterator[str]:
    """A stand-in for S3: the URL of its endpoint."""
    with s3_server() as url, s3_data_read_once():
        yield url


@pytest.fixture
def bucket(s3_endpoint: str, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[str]:
    """The URL of an empty bucket, with the variables set that lead there."""
    fsspec = pytest.importorskip("fsspec")
    for name, value in s3_variables(s3_endpoint).items():
        monkeypatch.setenv(name, value)
    fsspec.get_filesystem_class("s3").clear_instance_cache()
    name = f"b{zlib.crc32(request.node.nodeid.encode())}"
    fsspec.filesystem("s3").mkdir(name)
    yield f"s3://{name}"
    fsspec.get_filesystem_class("s3").clear_instance_cache()


@pytest.fixture
def unwritable(tmp_path: Path) -> Path:
    """A directory that nobody writes to; root writes to any but the kernel's own."""
    if os.geteuid() == 0:
        return Path("/sys/kernel")
    (tmp_path / "unwritable").mkdir(mode=0o555)
    return tmp_path / "unwritable"
