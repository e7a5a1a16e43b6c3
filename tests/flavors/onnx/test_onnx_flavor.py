"""ONNX graphs: what they are fed and what they give, as MLflow's onnx flavor has it; and files not to be trusted."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from penstock.errors import ArtifactInvalid, CodeNotTrusted, PackageInvalid, PredictError
from penstock.flavors import LoadContext
from penstock.flavors.onnx import session as module
from penstock.flavors.onnx.flavor import OnnxFlavor
from penstock.flavors.onnx.predictor import OnnxPredictor
from penstock.flavors.onnx.session import open_session
from penstock.manifest import Manifest
from penstock.payload import Table, Tensors, Value, as_object_array

FLOAT, DOUBLE, INT64, STRING, BOOL = (
    TensorProto.FLOAT,
    TensorProto.DOUBLE,
    TensorProto.INT64,
    TensorProto.STRING,
    TensorProto.BOOL,
)


def value(name: str, kind: int, *shape: Any) -> Any:
    return helper.make_tensor_value_info(name, kind, shape)


def model(nodes: list[Any], inputs: list[Any], outputs: list[Any], constants: list[Any] | None = None) -> bytes:
    graph = helper.make_graph(nodes, "g", inputs, outputs, constants or [])
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return made.SerializeToString()  # type: ignore[no-any-return]


def identity(kind: int = FLOAT, *shape: Any) -> bytes:
    shape = shape or ("n", 2)
    return model([helper.make_node("Identity", ["x"], ["y"])], [value("x", kind, *shape)], [value("y", kind, *shape)])


def summed() -> bytes:
    """`total` (n,) of the columns of `x` (n, 2)."""
    return model(
        [helper.make_node("ReduceSum", ["x", "axis"], ["total"], keepdims=0)],
        [value("x", FLOAT, "n", 2)],
        [value("total", FLOAT, "n")],
        [numpy_helper.from_array(np.array([1]), "axis")],
    )


def two_inputs() -> bytes:
    """`sum` and `copy` (n,) of the columns a (floats) and b (doubles)."""
    return model(
        [
            helper.make_node("Cast", ["b"], ["narrow"], to=FLOAT),
            helper.make_node("Add", ["a", "narrow"], ["sum"]),
            helper.make_node("Identity", ["b"], ["copy"]),
        ],
        [value("a", FLOAT, "n"), value("b", DOUBLE, "n")],
        [value("sum", FLOAT, "n"), value("copy", DOUBLE, "n")],
    )


@pytest.fixture
def load(tmp_path: Path) -> Any:
    """Loads a graph, with what the manifest says of it."""

    def load(content: bytes, *, trusted: bool = False, **settings: Any) -> OnnxPredictor:
        (tmp_path / "model.onnx").write_bytes(content)
        manifest = Manifest({"flavors": {"onnx": {"data": "model.onnx", **settings}}})
        return OnnxFlavor().load(LoadContext(tmp_path, manifest, trusted=trusted))

    return load


def arrays(payload: Any) -> dict[str, list[Any]]:
    assert isinstance(payload, Tensors)
    return {name: array.tolist() for name, array in payload.mapping().items()}


def columns(payload: Any) -> dict[Any, list[Any]]:
    assert isinstance(payload, Table)
    return dict(zip(payload.names or (), [c.tolist() for c in payload.iter_columns()], strict=True))


ROWS = np.array([[1.5, 2.0], [3.0, -4.0]])


# what a graph is fed


def test_one_input_takes_a_table_whole(load: Any) -> None:
    made = load(summed())
    assert columns(made.predict(Table(("p", "q"), block=ROWS), {})) == {"total": [3.5, -1.0]}
    mixed = Table.of(["p", "q"], [np.array([1, 2]), np.array([0.5, 1.5])])
    assert columns(made.predict(mixed, {})) == {"total": [1.5, 3.5]}


def test_one_input_takes_an_array_with_or_without_its_name(load: Any) -> None:
    made = load(summed())
    assert arrays(made.predict(Tensors.single(ROWS), {})) == {"total": [3.5, -1.0]}
    assert arrays(made.predict(Tensors.named({"x": ROWS}), {})) == {"total": [3.5, -1.0]}


def test_several_inputs_take_columns_by_name(load: Any) -> None:
    made = load(two_inputs())
    table = Table(("b", "extra", "a"), block=np.array([[1.0, 9.0, 2.0], [3.0, 9.0, 4.0]]))
    assert columns(made.predict(table, {})) == {"sum": [3.0, 7.0], "copy": [1.0, 3.0]}
    named = Tensors.named({"b": np.array([1.0]), "a": np.array([2.0])})
    assert arrays(made.predict(named, {})) == {"sum": [3.0], "copy": [1.0]}
    with pytest.raises(PredictError, match="do not name: b"):
        made.predict(Table(("a",), block=ROWS[:, :1]), {})
    with pytest.raises(PredictError, match="2 inputs by name: a, b"):
        made.predict(Tensors.single(ROWS), {})


def test_doubles_are_narrowed_for_floats_and_nothing_else_is_cast(load: Any) -> None:
    floats, doubles, longs = load(identity(FLOAT)), load(identity(DOUBLE)), load(identity(INT64))
    assert arrays(floats.predict(Tensors.single(ROWS), {})) == {"y": ROWS.tolist()}
    assert doubles.predict(Tensors.single(ROWS), {}).arrays[0].dtype == np.float64
    assert arrays(longs.predict(Tensors.single(ROWS.astype(int)), {}))["y"] == ROWS.astype(int).tolist()
    for made, wrong in [(floats, ROWS.astype(int)), (doubles, ROWS.astype(np.float32)), (longs, ROWS)]:
        with pytest.raises(PredictError, match="x"):
            made.predict(Tensors.single(wrong), {})


@pytest.mark.parametrize("array", [ROWS[:, :1], ROWS[0], ROWS[None], np.zeros((2, 3))])
def test_wrong_shapes_are_the_callers_errors(load: Any, array: Any) -> None:
    with pytest.raises(PredictError) as caught:
        load(identity()).predict(Tensors.single(array), {})
    assert len(caught.value.message) < 600


def test_unknown_names_and_bare_values_are_refused(load: Any) -> None:
    made = load(identity())
    with pytest.raises(PredictError):
        made.predict(Tensors.named({"z": ROWS}), {})
    with pytest.raises(PredictError, match="not a bare JSON value"):
        made.predict(Value([[1.0, 2.0]]), {})


def test_text_goes_through_a_graph_unchanged(load: Any) -> None:
    made = load(identity(STRING, "n", 2))
    words = [["a", "é"], ["", "long " * 100]]
    assert arrays(made.predict(Tensors.single(np.array(words, dtype=object)), {})) == {"y": words}
    assert arrays(made.predict(Tensors.single(np.array(words)), {})) == {"y": words}
    column = load(identity(STRING, "n"))
    assert columns(made.predict(Table.of(["p", "q"], [as_object_array(["a"]), as_object_array(["b"])]), {})) == {
        "y": ["a", "b"]
    }
    with pytest.raises(PredictError, match="rank"):  # as in MLflow, one input gets the table whole, so in 2-D
        column.predict(Table.of(["x"], [as_object_array(["a", "b"])]), {})
    for gap in (None, float("nan")):  # onnxruntime would read the word "None"
        with pytest.raises(PredictError, match="no form for a missing one"):
            made.predict(Tensors.single(np.array([["a", gap]], dtype=object)), {})


def test_booleans_views_and_empty_arrays_go_through_unchanged(load: Any) -> None:
    made = load(identity(BOOL))
    assert arrays(made.predict(Tensors.single(ROWS > 0), {})) == {"y": [[True, True], [True, False]]}
    wide = np.arange(12.0).reshape(2, 6)
    assert arrays(load(identity()).predict(Tensors.single(wide[:, ::3]), {})) == {"y": [[0.0, 3.0], [6.0, 9.0]]}
    assert arrays(load(identity()).predict(Tensors.single(np.empty((0, 2))), {})) == {"y": []}


# what a graph gives


def test_a_table_in_gives_every_output_flattened(load: Any) -> None:
    made = load(identity(FLOAT, "n", 1))
    assert columns(made.predict(Table(("x",), block=ROWS[:, :1]), {})) == {"y": [1.5, 3.0]}
    assert columns(load(identity()).predict(Table(("p", "q"), block=ROWS), {})) == {"y": [1.5, 2.0, 3.0, -4.0]}


def test_outputs_that_make_no_table_are_refused_with_their_shapes(load: Any) -> None:
    graph = model(
        [
            helper.make_node("Identity", ["x"], ["same"]),
            helper.make_node("ReduceSum", ["x", "axis"], ["total"], keepdims=0),
        ],
        [value("x", FLOAT, "n", 2)],
        [value("same", FLOAT, "n", 2), value("total", FLOAT, "n")],
        [numpy_helper.from_array(np.array([1]), "axis")],
    )
    made = load(graph)
    with pytest.raises(PredictError, match=r"same \[2, 2\], total \[2\]") as caught:
        made.predict(Table(("p", "q"), block=ROWS), {})
    assert "inputs" in caught.value.hint
    assert arrays(made.predict(Tensors.single(ROWS), {})) == {"same": ROWS.tolist(), "total": [3.5, -1.0]}


def test_classifiers_that_end_in_a_zip_map_answer_as_the_estimator() -> None:
    from skl2onnx import to_onnx
    from sklearn.linear_model import LogisticRegression

    estimator = LogisticRegression().fit(ROWS, ["no", "yes"])
    made = OnnxPredictor(
        open_session_of(to_onnx(estimator, ROWS[:1].astype(np.float32), target_opset=17).SerializeToString()),
        control_flow=False,
    )
    answer = made.predict(Tensors.single(ROWS), {})
    got = arrays(answer)
    assert got["output_label"] == ["no", "yes"]
    assert [list(row) for row in got["output_probability"]] == [["no", "yes"]] * 2
    assert np.allclose([[row["no"], row["yes"]] for row in got["output_probability"]], estimator.predict_proba(ROWS))
    assert answer.rows == 2  # so that it can be parted again
    table = columns(made.predict(Table(("p", "q"), block=ROWS), {}))
    assert [row["yes"] > 0.5 for row in table["output_probability"]] == [False, True]


def open_session_of(content: bytes) -> Any:
    import onnxruntime

    return onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])


def test_the_example_takes_the_form_that_works(load: Any) -> None:
    rows = Table(("p", "q"), block=ROWS)
    assert load(summed()).example_form(rows) is rows
    whole = load(summed()).example_form(Table(("p", "q"), block=ROWS.astype(int)))
    assert isinstance(whole, Table)
    assert whole.block is not None
    assert whole.block.dtype == np.float64
    array = load(identity()).example_form(rows)
    assert isinstance(array, Tensors)
    assert array.arrays[0].dtype == np.float32
    with pytest.raises(PredictError, match="cannot take the rows"):
        load(identity()).example_form(Table(("p",), block=ROWS[:, :1]))


# files that are not what they should be


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"garbage" * 100,
        b"\x00" * 64,
        identity()[:-10],
        identity()[: len(identity()) // 2],
        b"PK\x03\x04" + b"0" * 99,
    ],
    ids=["empty", "garbage", "zeros", "cut", "half", "zip"],
)
def test_damaged_files_are_named(load: Any, content: bytes) -> None:
    with pytest.raises(ArtifactInvalid, match=r"model\.onnx is damaged or not an ONNX model") as caught:
        load(content)
    assert len(caught.value.message) < 500
    assert "\n" not in caught.value.message


@pytest.mark.parametrize("byte", range(0, len(identity()), 3))
def test_one_wrong_byte_never_raises_anything_else(load: Any, byte: int) -> None:
    content = bytearray(identity())
    content[byte] ^= 0xFF
    try:
        made = load(bytes(content))
        made.predict(Tensors.single(ROWS), {})
    except (ArtifactInvalid, PredictError) as error:
        reason = error.message
    else:
        reason = "a byte that does not matter"
    assert reason


WEIGHTS = np.array([10.0, 20.0], np.float32).tobytes()


def external(location: str) -> bytes:
    """Adds weights kept in another file."""
    weights = onnx.TensorProto(name="w", data_type=FLOAT, dims=[2], data_location=TensorProto.EXTERNAL)
    entry = weights.external_data.add()
    entry.key, entry.value = "location", location
    return model(
        [helper.make_node("Add", ["x", "w"], ["y"])],
        [value("x", FLOAT, "n", 2)],
        [value("y", FLOAT, "n", 2)],
        [weights],
    )


def test_weights_beside_the_graph_are_found_from_any_directory(
    load: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "model.data").write_bytes(WEIGHTS)
    monkeypatch.chdir("/")
    assert arrays(load(external("model.data")).predict(Tensors.single(ROWS), {})) == {"y": [[11.5, 22.0], [13.0, 16.0]]}


@pytest.mark.parametrize("how", ["../secret", "{dir}/secret", "sub/../../secret", "link", "./../secret"])
def test_weights_outside_the_package_are_never_read(load: Any, tmp_path: Path, how: str) -> None:
    """The check is onnxruntime's; this fails should one of its releases drop it."""
    secret = tmp_path.parent / "secret"
    secret.write_bytes(WEIGHTS)
    (tmp_path / "sub").mkdir()
    (tmp_path / "link").symlink_to(secret)
    with pytest.raises(ArtifactInvalid):
        load(external(how.format(dir=tmp_path.parent)))


def test_missing_weights_are_an_invalid_artifact(load: Any) -> None:
    with pytest.raises(ArtifactInvalid):
        load(external("gone.data"))


# the manifest's settings


def test_a_graph_is_data_alone(tmp_path: Path) -> None:
    manifest = Manifest({"flavors": {"onnx": {"data": "model.onnx", "providers": ["CPUExecutionProvider"]}}})
    assert OnnxFlavor().code_reasons(tmp_path, manifest) == []
    assert OnnxFlavor().artifact(Manifest({"flavors": {"onnx": {}}})) == "model.onnx"
    assert OnnxFlavor().artifact(Manifest({"flavors": {"python_function": {"data": "m.onnx"}}})) == "m.onnx"


@pytest.mark.parametrize(
    "providers",
    [
        None,
        [],
        "CPUExecutionProvider",
        ["CUDAExecutionProvider", "CPUExecutionProvider"],
        [["CUDAExecutionProvider", {"device_id": 0}], ["CPUExecutionProvider", {}]],
        ["NoSuchProvider"],
    ],
)
def test_providers_that_are_not_here_are_passed_over(load: Any, providers: Any) -> None:
    made = load(identity(), providers=providers)
    assert made._session.get_providers() == ["CPUExecutionProvider"]


@pytest.mark.parametrize("providers", [[5], [{"a": 1}], [[]], [["X", 5]], [["X", {}, 1]], [[None, {}]], [None]])
def test_providers_that_cannot_be_read_are_refused(load: Any, providers: Any) -> None:
    with pytest.raises(PackageInvalid, match="provider"):
        load(identity(), providers=providers)


def test_session_options_are_honoured(monkeypatch: pytest.MonkeyPatch) -> None:
    import onnxruntime

    given = {
        "inter_op_num_threads": 3,
        "intra_op_num_threads": 2,
        "execution_mode": "parallel",
        "graph_optimization_level": 1,
        "extra_session_config": {"session.set_denormal_as_zero": "1"},
    }
    options = module._options(onnxruntime, given, threads=7)
    assert (options.inter_op_num_threads, options.intra_op_num_threads) == (3, 2)
    assert options.execution_mode == onnxruntime.ExecutionMode.ORT_PARALLEL
    assert options.graph_optimization_level == onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    assert options.get_session_config_entry("session.set_denormal_as_zero") == "1"
    assert options.get_session_config_entry("session.intra_op.allow_spinning") == "0"
    assert module._options(onnxruntime, {}, threads=7).intra_op_num_threads == 7


@pytest.mark.parametrize(
    "options", [{"inter_op_num_threads": "many"}, {"graph_optimization_level": "x"}, [1], {"extra_session_config": 5}]
)
def test_session_options_that_cannot_be_used_are_refused(load: Any, options: Any) -> None:
    with pytest.raises(PackageInvalid, match="onnx_session_options"):
        load(identity(), onnx_session_options=options)


@pytest.mark.parametrize(
    "settings",
    [
        {"providers": [["TensorrtExecutionProvider", {"trt_extra_plugin_lib_paths": "./evil.so"}]]},
        {"providers": [["QNNExecutionProvider", {"backend_path": "evil.so"}], "CPUExecutionProvider"]},
        {"onnx_session_options": {"extra_session_config": {"session.collect_node_memory_stats_to_file": "/tmp/x"}}},
    ],
)
def test_options_that_could_load_libraries_or_write_files_need_trust(
    load: Any, tmp_path: Path, settings: dict[str, Any]
) -> None:
    manifest = Manifest({"flavors": {"onnx": settings}})
    (reason,) = OnnxFlavor().code_reasons(tmp_path, manifest)
    assert str(reason).startswith("MLmodel sets unreviewed onnxruntime options: ")
    with pytest.raises(CodeNotTrusted, match="unreviewed onnxruntime options"):
        load(identity(), **settings)
    assert not os.path.exists("/tmp/x")


def test_a_package_of_the_shared_fixture_answers(identity_onnx_package: Path) -> None:
    session = open_session(identity_onnx_package / "model.onnx", {}, 1)
    answer = OnnxPredictor(session, control_flow=False).predict(Tensors.single(np.ones((2, 3), np.float32)), {})
    assert arrays(answer) == {"y": [[1.0] * 3] * 2}
