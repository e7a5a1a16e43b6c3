"""Which ONNX graphs repeat or branch: read from the bytes that the onnx library writes, and from damaged ones."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import FunctionProto, ModelProto, NodeProto, TensorProto, helper

from penstock.flavors.onnx.control_flow import has_control_flow, model_has_control_flow

X = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows", 2])


def model(*nodes: NodeProto, functions: tuple[FunctionProto, ...] = ()) -> ModelProto:
    return helper.make_model(helper.make_graph(list(nodes), "g", [X], [X]), functions=list(functions))


def branch() -> NodeProto:
    body = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "body", [], [X])
    return helper.make_node("If", ["c"], ["y"], then_branch=body, else_branch=body)


PLAIN = model(
    helper.make_node("Identity", ["x"], ["Loop"], name="If"),
    helper.make_node("TreeEnsembleRegressor", ["x"], ["y"], domain="ai.onnx.ml", nodes_values=[0.5] * 500, n=[7] * 500),
)


def test_a_straight_graph_has_none_whatever_its_names_say() -> None:
    assert not model_has_control_flow(PLAIN.SerializeToString())


@pytest.mark.parametrize("operator", ["Loop", "If", "Scan", "SequenceAt", "SequenceMap", "SplitToSequence"])
def test_operators_that_repeat_or_branch_are_found(operator: str) -> None:
    made = model(helper.make_node("Identity", ["x"], ["y"]), helper.make_node(operator, ["y"], ["z"]))
    assert model_has_control_flow(made.SerializeToString())


def test_any_operator_that_carries_a_graph_counts() -> None:
    body = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "body", [], [X])
    for attributes in ({"decoder": body}, {"decoders": [body]}):
        search = helper.make_node("BeamSearch", ["x"], ["y"], domain="com.microsoft", **attributes)
        assert model_has_control_flow(model(search).SerializeToString())


def test_functions_are_looked_into() -> None:
    imports = [helper.make_opsetid("", 17)]
    function = helper.make_function("own", "f", ["x"], ["y"], [branch()], imports)
    made = model(helper.make_node("f", ["x"], ["y"], domain="own"), functions=(function,))
    assert model_has_control_flow(made.SerializeToString())


def test_what_is_no_model_is_taken_to_have_it(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    for content in (b"", b"\x0a", b"ORTM" * 9, b"\xff" * 40, PLAIN.SerializeToString()[:-1]):
        path.write_bytes(content)
        assert has_control_flow(path)
    path.write_bytes(PLAIN.SerializeToString())
    assert not has_control_flow(path)
    assert has_control_flow(tmp_path / "missing")


@settings(max_examples=200, deadline=None, derandomize=True)
@given(content=st.binary(max_size=200))
def test_any_bytes_give_an_answer_or_a_value_error(content: bytes) -> None:
    try:
        model_has_control_flow(content)
    except ValueError:
        return
