"""A loaded model in Python: every container in, the answer in kind, and the signature in between."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import penstock
from conftest import identity_graph
from penstock.errors import Closing, MalformedInput, PredictError, SchemaViolation
from penstock.payload import Table, Tensors, Value

FRAME = pd.DataFrame({"a": [1.0, 2.0], "b": [10.0, 20.0]})


@pytest.fixture
def adder(python_package: Path) -> Iterator[penstock.LocalModel]:
    """Twice the sum of the columns a and b, plus the param `offset`."""
    with penstock.load_model(python_package, trust_code=True) as model:
        yield model


@pytest.fixture
def identity(identity_onnx_package: Path) -> Iterator[penstock.LocalModel]:
    """Floats (-1, 3) in as `x`, the same out as `y`."""
    with penstock.load_model(identity_onnx_package) as model:
        yield model


@pytest.fixture(scope="module")
def named_package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same graph, with a signature that names its input."""
    target = tmp_path_factory.mktemp("packages") / "named"
    return penstock.save_model(identity_graph(), target, example={"x": np.ones((2, 3), dtype=np.float32)}).path


@pytest.fixture
def named(named_package: Path) -> Iterator[penstock.LocalModel]:
    with penstock.load_model(named_package) as model:
        yield model


def test_a_frame_gives_what_the_function_returned(adder: penstock.LocalModel) -> None:
    answer = adder.predict(FRAME)
    assert isinstance(answer, np.ndarray)
    assert answer.tolist() == [22.0, 44.0]


def test_row_labels_never_reach_the_model(adder: penstock.LocalModel) -> None:
    assert adder.predict(FRAME.set_axis(["x", "y"], axis=0)).tolist() == [22.0, 44.0]


def test_columns_are_put_in_order_and_cast_where_nothing_is_lost(adder: penstock.LocalModel) -> None:
    frame = pd.DataFrame({"more": ["x"], "b": [10], "a": np.array([1], dtype=np.float32)})
    assert adder.predict(frame).tolist() == [22.0]


@pytest.mark.parametrize(
    ("data", "answer"),
    [
        ([{"a": 1, "b": 10}, {"b": 20.0, "a": 2.0}], [22.0, 44.0]),
        ({"a": 1, "b": 10}, 22.0),
        ([{"a": 1, "b": 10}], [22.0]),
        ([{"a": np.float64(1), "b": np.int64(10)}], [22.0]),
    ],
)
def test_records_give_plain_values(adder: penstock.LocalModel, data: Any, answer: Any) -> None:
    assert adder.predict(data) == answer


@pytest.mark.parametrize(
    "data",
    [
        {"a": [1.0, 2.0], "b": [10.0, 20.0]},
        {"a": np.array([1.0, 2.0]), "b": np.array([10, 20])},
        {"a": FRAME["a"], "b": [10.0, 20.0]},
    ],
)
def test_columns_by_name_give_an_array(adder: penstock.LocalModel, data: Any) -> None:
    answer = adder.predict(data)
    assert isinstance(answer, np.ndarray)
    assert answer.tolist() == [22.0, 44.0]


def test_payloads_give_payloads(adder: penstock.LocalModel) -> None:
    answer = adder.predict(Table(("a", "b"), block=np.array([[1.0, 10.0]])))
    assert isinstance(answer, Tensors)
    assert answer.arrays[0].tolist() == [22.0]


def test_params_are_checked_and_filled_in(adder: penstock.LocalModel) -> None:
    assert adder.predict(FRAME, {"offset": 1}).tolist() == [23.0, 45.0]
    with pytest.warns(UserWarning, match=r"no param 'ofset', which is ignored \(nearest: 'offset'\)"):
        assert adder.predict(FRAME, params={"ofset": 1}).tolist() == [22.0, 44.0]
    with pytest.raises(SchemaViolation, match="offset"):
        adder.predict(FRAME, {"offset": "much"})


def test_violations_name_row_and_column(adder: penstock.LocalModel) -> None:
    with pytest.raises(SchemaViolation) as caught:
        adder.predict(pd.DataFrame({"a": [1.0, 2.0], "b": ["10", "ten"]}))
    assert [(v.row, v.column) for v in caught.value.violations] == [(1, "b")]
    with pytest.raises(SchemaViolation, match="missing columns: 'b'"):
        adder.predict([{"a": 1.0}])


def test_an_array_gives_arrays_by_the_names_of_the_graphs_outputs(identity: penstock.LocalModel) -> None:
    answer = identity.predict(np.arange(6.0).reshape(2, 3))
    assert answer["y"].tolist() == [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]
    with pytest.raises(SchemaViolation, match="without a name"):
        identity.predict({"x": np.arange(3.0).reshape(1, 3)})


def test_named_arrays_are_cast_to_what_the_signature_says(named: penstock.LocalModel) -> None:
    assert named.predict({"x": np.arange(3.0).reshape(1, 3)})["y"].dtype == np.float32
    assert named.predict({"x": [[0, 1, 2]]})["y"].tolist() == [[0.0, 1.0, 2.0]]


def test_tensors_as_records_give_a_record_a_row(named: penstock.LocalModel) -> None:
    assert named.predict([{"x": [1.0, 2.0, 3.0]}, {"x": [4.0, 5.0, 6.0]}]) == [
        {"y": [1.0, 2.0, 3.0]},
        {"y": [4.0, 5.0, 6.0]},
    ]


def test_numbers_that_are_not_finite_arrive_as_they_are(named: penstock.LocalModel) -> None:
    (answer,) = named.predict([{"x": [float("inf"), float("-inf"), float("nan")]}])
    assert answer["y"][:2] == [float("inf"), float("-inf")]
    assert np.isnan(answer["y"][2])


def test_the_wrong_shape_is_the_callers_fault(identity: penstock.LocalModel) -> None:
    with pytest.raises(SchemaViolation, match="shape"):
        identity.predict(np.zeros((2, 4)))


def test_a_table_model_of_onnx_answers_a_frame_with_a_frame(
    iris_onnx_package: Path, iris_package: Path, iris_frame: Any
) -> None:
    with penstock.load_model(iris_package) as model:
        labels = model.predict(iris_frame)
        assert labels.shape == (150,)
        assert model.predict(iris_frame.head(2).to_dict("records")) == labels[:2].tolist()
    with penstock.load_model(iris_onnx_package) as model:
        answer = model.predict(iris_frame.to_numpy())
        assert sorted(answer) == ["label", "probabilities"]
        assert (answer["label"] == labels).all()


def test_a_frame_that_comes_back_keeps_its_row_labels(tmp_path: Path) -> None:
    source = tmp_path / "doubler.py"
    source.write_text("def predict(inputs, params):\n    return inputs * 2\n")
    frame = pd.DataFrame({"a": [1.0, 2.0]}, index=["x", "y"])
    penstock.save_model(source, tmp_path / "doubler", example=frame)
    with penstock.load_model(tmp_path / "doubler", trust_code=True) as model:
        pd.testing.assert_frame_equal(model.predict(frame), frame * 2)
        assert model.predict([{"a": 1.0}]) == [{"a": 2.0}]
        assert model.predict({"a": np.array([1.0])})["a"].tolist() == [2.0]


@pytest.mark.parametrize("data", [object(), [object()], {"a": object(), "b": 1.0}])
def test_what_no_model_takes_is_refused_with_the_ways_to_give_it(adder: penstock.LocalModel, data: Any) -> None:
    with pytest.raises(MalformedInput, match="Give a DataFrame, an array"):
        adder.predict(data)


def test_names_of_several_levels_are_refused(adder: penstock.LocalModel) -> None:
    with pytest.raises(MalformedInput, match="several levels"):
        adder.predict(pd.DataFrame({("a", "x"): [1.0], ("b", "x"): [2.0]}))


def test_text_categories_and_missing_cells_reach_the_model(tmp_path: Path) -> None:
    source = tmp_path / "lengths.py"
    source.write_text("def predict(inputs, params):\n    return [len(t) if t == t and t else 0 for t in inputs['t']]\n")
    example = pd.DataFrame({"t": ["ab", "c"]})
    penstock.save_model(source, tmp_path / "lengths", example=example)
    with penstock.load_model(tmp_path / "lengths", trust_code=True) as model:
        assert model.predict(example) == [2, 1]
        assert model.predict(pd.DataFrame({"t": pd.Categorical(["abc", "c"])})) == [3, 1]
        assert model.predict({"t": "four"}) == 4


def test_a_model_without_a_signature_takes_what_it_is_given(tmp_path: Path) -> None:
    source = tmp_path / "kind.py"
    source.write_text("def predict(inputs, params):\n    return type(inputs).__name__\n")
    penstock.save_model(source, tmp_path / "kind")
    with penstock.load_model(tmp_path / "kind", trust_code=True) as model:
        assert model.signature is None
        assert model.predict(FRAME) == model.predict([{"a": 1}]) == "DataFrame"
        assert model.predict(np.zeros(2)) == "ndarray"
        assert model.predict({"messages": [{"role": "user", "content": "hi"}]}) == "dict"
        assert model.predict(Value("text")).value == "str"


def test_the_models_own_exception_is_the_cause(tmp_path: Path) -> None:
    source = tmp_path / "broken.py"
    source.write_text("def predict(inputs, params):\n    raise ValueError('no such customer')\n")
    penstock.save_model(source, tmp_path / "broken")
    with (
        penstock.load_model(tmp_path / "broken", trust_code=True) as model,
        pytest.raises(PredictError, match="no such customer") as caught,
    ):
        model.predict(FRAME)
    assert isinstance(caught.value.__cause__, ValueError)


def test_a_local_model_describes_itself_and_is_closed_once(iris_package: Path) -> None:
    model = penstock.load_model(iris_package)
    assert repr(model) == (
        f"<LocalModel iris version {model.digest[:12]} (sklearn) takes sepal_length: double, sepal_width: double, "
        "petal_length: double, petal_width: double>"
    )
    assert model.manifest.flavors.keys() == {"sklearn", "python_function"}
    assert model.metadata["penstock"]["version"] == penstock.__version__
    assert model.signature is not None
    model.close()
    model.close()
    assert "closed" in repr(model)
    with pytest.raises(Closing, match="Load the model again"):
        model.predict(FRAME)


def test_a_closed_model_says_so_whatever_is_asked(python_package: Path) -> None:
    model = penstock.load_model(python_package, trust_code=True)
    model.close()
    with pytest.raises(Closing, match=r"The model adder is closed\. Load the model again\."):
        model.predict(FRAME)
    with pytest.raises(Closing, match=r"The model adder is closed\. Load the model again\."), model:
        pass


def test_params_that_are_no_mapping_are_refused_with_and_without_a_params_schema(
    adder: penstock.LocalModel, identity: penstock.LocalModel
) -> None:
    with pytest.raises(MalformedInput, match="params must be a mapping of names to values, not 3"):
        adder.predict(FRAME, params=3)  # type: ignore[arg-type]
    with pytest.raises(MalformedInput, match="params must be a mapping of names to values, not 3"):
        identity.predict(np.ones((1, 3)), params=3)  # type: ignore[arg-type]


@pytest.mark.parametrize("data", [None, 5, (1.0, 2.0), [[1.0, 2.0]], "x", b"x", {1, 2}])
def test_what_has_no_columns_is_refused_in_words_that_say_what_has(adder: penstock.LocalModel, data: Any) -> None:
    with pytest.raises(MalformedInput) as caught:
        adder.predict(data)
    assert caught.value.message.startswith("The model takes named columns ('a', 'b'), not ")
    assert caught.value.hint == "Give a DataFrame, an array, a dict of columns, or a list of records."


def test_single_values_are_rows_of_arrays_of_one_column(tmp_path: Path) -> None:
    from onnx import TensorProto, helper

    inputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, 1]) for name in "ab"]
    output = helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, 1])
    graph = helper.make_graph([helper.make_node("Add", ["a", "b"], ["y"])], "sum", inputs, [output])
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    one = np.ones((1, 1), dtype=np.float32)
    package = penstock.save_model(proto, tmp_path / "sum", example={"a": one, "b": one}).path
    with penstock.load_model(package) as model:
        assert model.predict([{"a": 1, "b": 2}, {"b": [4], "a": np.float32(3)}]) == [{"y": [3.0]}, {"y": [7.0]}]
        assert model.predict({"a": 1, "b": 2}) == {"y": [3.0]}
        with pytest.raises(MalformedInput, match="takes the arrays 'a', 'b', but record 1 has 'a', 'c'"):
            model.predict([{"a": 1, "b": 2}, {"a": 1, "c": 2}])


def test_records_for_an_array_without_a_name_are_refused(identity: penstock.LocalModel) -> None:
    with pytest.raises(MalformedInput, match="one array without a name, but the records have 'x'"):
        identity.predict([{"x": [1.0, 2.0, 3.0]}])
