"""Datasets are described as MLflow describes them: digests, schemas, profiles and sources were made by MLflow 3.18."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from penstock import tracking
from penstock.errors import TrackingInvalid
from penstock.fluent.data import digests

FRAME = pd.DataFrame(
    {
        "i": [1, 2],
        "f": [0.5, None],
        "s": ["a", "b"],
        "o": ["a", None],
        "b": [True, False],
        "d": pd.to_datetime(["2020-01-01", "2021-01-01"]),
        "i32": np.array([1, 2], dtype="int32"),
        "f32": np.array([1, 2], dtype="float32"),
        "c": pd.Categorical(["a", "b"]),
        "u8": np.array([1, 2], dtype="uint8"),
    }
)
KINDS = ["long", "double", "string", "string", "boolean", "datetime", "integer", "float", "string", "integer"]


def test_a_frame_is_described() -> None:
    dataset = tracking.data.from_pandas(FRAME, targets="b")
    assert (dataset.name, dataset.digest, dataset.source_type) == ("dataset", "f5c50534", "code")
    columns = json.loads(dataset.schema or "")["mlflow_colspec"]
    assert [column["type"] for column in columns] == KINDS
    assert [column["name"] for column in columns if not column["required"]] == ["f", "o"]
    assert json.loads(dataset.profile or "") == {"num_rows": 2, "num_elements": 20}
    assert set(json.loads(dataset.source)["tags"]) == {"mlflow.user", "mlflow.source.name", "mlflow.source.type"}
    with pytest.raises(TrackingInvalid, match="no column 'z'"):
        tracking.data.from_pandas(FRAME, targets="z")


@pytest.mark.parametrize(
    ("frame", "digest", "kinds"),
    [
        (FRAME[["i", "f"]], "7648df91", ["long", "double"]),
        (pd.DataFrame({"x": [1], 1: [2]}), "3a26c7d7", ["long", "long"]),
        (pd.DataFrame({"b": [b"x"]}), "eb206eeb", ["binary"]),
        (pd.DataFrame({"m": ["a", 1]}), "197d912e", None),
        (pd.DataFrame({"u": np.array([1], dtype="uint64")}), "5e5994e6", None),
        (pd.DataFrame({"I": pd.array([1, None], dtype="Int64"), "S": pd.array(["x", None], dtype="string")}),
         "53666363", ["long", "string"]),
        (pd.DataFrame({"n": [None, None]}), "672041be", ["any"]),
    ],
)  # fmt: skip
def test_digests_and_schemas_of_frames(frame: Any, digest: str, kinds: list[str] | None) -> None:
    dataset = tracking.data.from_pandas(frame)
    assert dataset.digest == digest
    schema = json.loads(dataset.schema)["mlflow_colspec"] if dataset.schema else None
    assert (schema and [column["type"] for column in schema]) == kinds


@pytest.mark.parametrize(
    ("features", "targets", "digest", "profile", "shapes"),
    [
        (np.zeros((2, 3)), None, "a93ed270", {"features_shape": [2, 3], "features_size": 6}, [-1, 3]),
        (np.array(["a", "bb"]), np.array([1, 2]), "2862642f", {"targets_shape": [2], "features_nbytes": 16}, [-1]),
        (np.array(5.0), None, "a81650bd", {"features_shape": []}, None),
    ],
)  # fmt: skip
def test_arrays_are_described(features: Any, targets: Any, digest: str, profile: Any, shapes: Any) -> None:
    dataset = tracking.data.from_numpy(features, targets=targets)
    assert dataset.digest == digest
    assert profile.items() <= json.loads(dataset.profile or "").items()
    schema = json.loads(json.loads(dataset.schema)["mlflow_tensorspec"]["features"]) if dataset.schema else None
    assert (schema and schema[0]["tensor-spec"]["shape"]) == shapes


def test_a_dict_of_arrays_is_described() -> None:
    features = {"a": np.zeros((2, 3), dtype="float32"), "b": np.ones(2)}
    dataset = tracking.data.from_numpy(features, targets={"t": np.array([1])})
    assert dataset.digest == "0493fdcc"
    tensors = json.loads(json.loads(dataset.schema or "")["mlflow_tensorspec"]["features"])
    assert [(each["name"], each["tensor-spec"]["dtype"]) for each in tensors] == [("a", "float32"), ("b", "float64")]
    assert json.loads(dataset.profile or "")["features_shape"] == {"a": [2, 3], "b": [2]}


def test_an_array_has_a_digest_without_pandas(monkeypatch: pytest.MonkeyPatch) -> None:
    def import_module(name: str) -> Any:
        if name == "pandas":
            raise ImportError(name)
        return np

    monkeypatch.setattr(digests, "import_module", import_module)
    one, other = (tracking.data.from_numpy(np.array([1.0, value])).digest for value in (2, 3))
    assert len(one) == len(other) == 8
    assert one != other


@pytest.mark.parametrize(
    ("source", "kind", "said"),
    [
        ("data.csv", "local", {"uri": "data.csv"}),
        (Path("/tmp/x.csv"), "local", {"uri": "/tmp/x.csv"}),
        ("file:///tmp/x.csv", "local", {"uri": "file:///tmp/x.csv"}),
        ("http://a/b.csv", "http", {"url": "http://a/b.csv"}),
        ("s3://b/k", "s3", {"uri": "s3://b/k"}),
        ("C:\\data.csv", "local", {"uri": "C:\\data.csv"}),
    ],
)
def test_sources_have_mlflows_words(source: Any, kind: str, said: dict[str, str]) -> None:
    dataset = tracking.data.from_numpy(np.zeros(1), source=source)
    assert (dataset.source_type, json.loads(dataset.source)) == (kind, said)


def test_a_run_says_what_data_it_took(store: Path) -> None:
    frame = tracking.data.from_pandas(FRAME[["i"]], source="s3://b/k", name="frame")
    array = tracking.data.from_numpy(np.zeros((2, 3)), name="array")
    with tracking.start_run() as run:
        tracking.log_input(frame, "train", {"fold": 1})
        tracking.log_inputs([array, frame], ["eval", None], [None, None])
        with pytest.raises(TrackingInvalid, match="one length"):
            tracking.log_inputs([array], [], [])
        with pytest.raises(TrackingInvalid, match="DataFrame is no dataset"):
            tracking.log_input(FRAME)
    found = {each.dataset.name: each for each in tracking.get_run(run.info.run_id).inputs.dataset_inputs}
    assert found["frame"].tags == {"fold": "1", "mlflow.data.context": "train"}
    assert found["array"].tags == {"mlflow.data.context": "eval"}
    assert found["frame"].dataset.to_dict() == frame.to_dict()
