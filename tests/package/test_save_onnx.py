"""ONNX models packaged from every form, with their weights and nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pandas as pd
import pytest
from onnx import TensorProto, helper, numpy_helper

from package.packaging import files, nothing_left, proven
from penstock.errors import ArtifactInvalid, PackagingFailed
from penstock.package.save import save_model
from penstock.signature import TensorField

X = np.array([[0.0, 1.0], [1.0, 0.0], [2.0, 3.0], [3.0, 1.0]])
FRAME = pd.DataFrame(X, columns=["a", "b"])


def graph(*outputs: tuple[str, int], shape: tuple[Any, ...] = ("n", 2)) -> onnx.ModelProto:
    """`x` floats in; each output a copy of it, or its sum over columns."""
    nodes = [
        helper.make_node("Identity", ["x"], [name])
        if width > 1
        else helper.make_node("ReduceSum", ["x", "axis"], [name], keepdims=0)
        for name, width in outputs
    ]
    made = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", width] if width > 1 else ["n"])
            for name, width in outputs
        ],
        [numpy_helper.from_array(np.array([1]), "axis")],
    )
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


@pytest.mark.parametrize("form", ["proto", "bytes", "file"])
def test_an_onnx_model_is_packaged_from_any_form(tmp_path: Path, form: str) -> None:
    model: Any = graph(("y", 1))
    if form == "bytes":
        model = model.SerializeToString()
    if form == "file":
        onnx.save(model, tmp_path / "any name.onnx")
        model = tmp_path / "any name.onnx"
    package = save_model(model, tmp_path / "m", example=FRAME)
    assert package.code_reasons() == []
    assert dict(package.manifest.flavors["python_function"]) | {"env": 0, "python_version": 0} == {
        "loader_module": "mlflow.onnx",
        "data": "model.onnx",
        "env": 0,
        "python_version": 0,
    }
    assert proven(package) == [{"y": 1.0}, {"y": 1.0}, {"y": 5.0}, {"y": 4.0}]


def test_outputs_that_make_no_table_get_a_signature_of_arrays(tmp_path: Path) -> None:
    package = save_model(graph(("y", 1), ("z", 2)), tmp_path / "m", example=FRAME)
    signature = package.manifest.signature
    assert signature is not None
    assert signature.inputs == (TensorField(None, np.dtype("float32"), (-1, 2)),)
    assert proven(package) == {"y": [1.0, 1.0, 5.0, 4.0], "z": X.tolist()}


def test_whole_numbers_for_a_graph_of_floats_are_doubles_in_the_signature(tmp_path: Path) -> None:
    package = save_model(graph(("y", 1)), tmp_path / "m", example=FRAME.astype(int))
    assert package.manifest.signature is not None
    assert [str(f) for f in package.manifest.signature.inputs or ()] == ["a: double", "b: double"]
    proven(package)


def external(place: Path, location: str, data: bytes | None = None) -> Path:
    """An .onnx file that adds weights it keeps at `location`."""
    weights = onnx.TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[2], data_location=TensorProto.EXTERNAL)
    entry = weights.external_data.add()
    entry.key, entry.value = "location", location
    made = helper.make_graph(
        [helper.make_node("Add", ["x", "w"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 2])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 2])],
        [weights],
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    place.mkdir(exist_ok=True)
    if data is not None:
        (place / location).parent.mkdir(parents=True, exist_ok=True)
        (place / location).write_bytes(data)
    (place / "big.onnx").write_bytes(model.SerializeToString())
    return place / "big.onnx"


WEIGHTS = np.array([10, 20], np.float32).tobytes()


@pytest.mark.parametrize("location", ["weights.bin", "sub/w", "x" * 150])
def test_external_data_comes_along_and_nothing_else(tmp_path: Path, location: str) -> None:
    model = external(tmp_path / "in", location, WEIGHTS)
    for other in ("g", "w", "x", "location", "notes.txt"):
        (tmp_path / "in" / other).write_text("private")  # names that occur in the graph's bytes
    package = save_model(model, tmp_path / "m", example=X.astype(np.float32))
    assert location in files(package)
    assert not {"g", "w", "x", "location", "notes.txt"} & files(package)
    assert proven(package) == {"y": (X + np.array([10, 20])).tolist()}


@pytest.mark.parametrize("location", ["../secret", "sub/../../secret", "/etc/hostname"])
def test_external_data_outside_the_models_directory_is_refused(tmp_path: Path, location: str) -> None:
    (tmp_path / "secret").write_bytes(WEIGHTS)
    model = external(tmp_path / "in", location)
    with pytest.raises(PackagingFailed, match="outside its directory"):
        save_model(model, tmp_path / "m", example=X.astype(np.float32))
    assert nothing_left(tmp_path, but={"in", "secret"})


def test_missing_external_data_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PackagingFailed, match=r"weights\.bin, which is not beside it"):
        save_model(external(tmp_path / "in", "weights.bin"), tmp_path / "m")
    model = external(tmp_path / "in", "weights.bin", WEIGHTS).read_bytes()
    with pytest.raises(PackagingFailed, match=r"Give the path of the \.onnx file"):
        save_model(model, tmp_path / "m")


@pytest.mark.parametrize("content", [b"", b"garbage" * 100, graph(("y", 1)).SerializeToString()[:-20]])
@pytest.mark.parametrize("example", [None, X])
def test_a_damaged_graph_is_refused_with_and_without_an_example(tmp_path: Path, content: bytes, example: Any) -> None:
    with pytest.raises(ArtifactInvalid, match="damaged or not an ONNX model"):
        save_model(content, tmp_path / "m", example=example)
    assert nothing_left(tmp_path)
