"""ONNX graphs that run for good, take all memory, or name what is not theirs."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import yaml

from hostile_packages.bases import write
from hostile_packages.package import EITHER, HostilePackage

_FLOATS = json.dumps({"inputs": [[1, 2, 3, 2e9]]}).encode()


def graphs() -> Iterator[HostilePackage]:
    yield HostilePackage("onnx", "a loop as long as a cell says", _graph(_loop), EITHER, body=_FLOATS)
    yield HostilePackage("onnx", "a loop of 2^40 turns", _graph(lambda: _loop(2**40)), EITHER, body=_FLOATS)
    yield HostilePackage("onnx", "rows tiled by a cell", _graph(_tile), EITHER, body=_FLOATS)
    yield HostilePackage("onnx", "a constant of a terabyte", _graph(_constant), EITHER, body=_FLOATS)
    yield HostilePackage(
        "onnx", "weights outside the package", _graph(lambda: _external("../../../etc/passwd")), EITHER, body=_FLOATS
    )
    yield HostilePackage(
        "onnx", "weights by an absolute path", _graph(lambda: _external("/etc/passwd")), EITHER, body=_FLOATS
    )
    yield HostilePackage("onnx", "an operator that nobody knows", _graph(_unknown), body=_FLOATS)
    yield HostilePackage("onnx", "no graph", lambda place: _written(place, b"nonsense"), body=_FLOATS)
    yield HostilePackage(
        "onnx",
        "options that load a library",
        _graph(_identity, {"onnx_session_options": {"extra_session_config": {"ep.library": "/tmp/x.so"}}}),
        quick=True,
    )
    yield HostilePackage(
        "onnx",
        "a profile written to a file",
        _graph(
            _identity, {"onnx_session_options": {"extra_session_config": {"session.profile": "/tmp/penstock-was-here"}}}
        ),
        quick=True,
    )
    yield HostilePackage(
        "onnx",
        "a million threads",
        _graph(_identity, {"onnx_session_options": {"intra_op_num_threads": 1_000_000}}),
        EITHER,
        body=_FLOATS,
    )


def _graph(make: Callable[[], Any], settings: dict[str, Any] | None = None) -> Callable[[Path], None]:
    def write_it(place: Path) -> None:
        from onnx import helper

        model = helper.make_model(make(), opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        _written(place, model.SerializeToString(), settings)

    return write_it


def _written(place: Path, model: bytes, settings: dict[str, Any] | None = None) -> None:
    inputs = [{"type": "tensor", "name": "x", "tensor-spec": {"dtype": "float32", "shape": [-1, 4]}}]
    content = {
        "flavors": {
            "onnx": {"data": "model.onnx", "providers": ["CPUExecutionProvider"], "code": None, **(settings or {})},
            "python_function": {"loader_module": "mlflow.onnx", "data": "model.onnx"},
        },
        "signature": {"inputs": json.dumps(inputs), "outputs": None, "params": None},
    }
    write(place, {"MLmodel": yaml.safe_dump(content), "model.onnx": model})


def _of(nodes: list[Any], constants: list[Any]) -> Any:
    from onnx import TensorProto, helper

    x, y = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in (("x", [None, 4]), ("y", None))
    )
    return helper.make_graph(nodes, "graph", [x], [y], constants)  # fmt: skip


def _identity() -> Any:
    from onnx import helper

    return _of([helper.make_node("Identity", ["x"], ["y"])], [])


def _loop(turns: int | None = None) -> Any:
    from onnx import TensorProto as T
    from onnx import helper as h

    info = h.make_tensor_value_info
    body = h.make_graph(
        [h.make_node("Identity", ["c"], ["co"]), h.make_node("Add", ["a", "one"], ["ao"])], "body",
        [info("i", T.INT64, []), info("c", T.BOOL, []), info("a", T.FLOAT, [1])],
        [info("co", T.BOOL, []), info("ao", T.FLOAT, [1])], [h.make_tensor("one", T.FLOAT, [1], [1.0])],
    )  # fmt: skip
    count = [h.make_node("ReduceMax", ["x"], ["m"], keepdims=0), h.make_node("Cast", ["m"], ["n"], to=T.INT64)]
    nodes = [
        *([] if turns else count), h.make_node("ReduceSum", ["x"], ["s0"], keepdims=0),
        h.make_node("Reshape", ["s0", "sh"], ["s"]), h.make_node("Loop", ["n", "t", "s"], ["acc"], body=body),
        h.make_node("Add", ["x", "acc"], ["y"]),
    ]  # fmt: skip
    fixed = [h.make_tensor("n", T.INT64, [], [turns])] if turns else []
    return _of(nodes, [h.make_tensor("t", T.BOOL, [], [True]), h.make_tensor("sh", T.INT64, [1], [1]), *fixed])


def _tile() -> Any:
    from onnx import TensorProto as T
    from onnx import helper as h

    nodes = [
        h.make_node("ReduceMax", ["x"], ["m"], keepdims=0), h.make_node("Cast", ["m"], ["n0"], to=T.INT64),
        h.make_node("Reshape", ["n0", "one"], ["n"]), h.make_node("Concat", ["n", "one"], ["by"], axis=0),
        h.make_node("Tile", ["x", "by"], ["y"]),
    ]  # fmt: skip
    return _of(nodes, [h.make_tensor("one", T.INT64, [1], [1])])


def _constant() -> Any:
    from onnx import TensorProto as T
    from onnx import helper as h

    nodes = [
        h.make_node("ConstantOfShape", ["size"], ["large"]), h.make_node("ReduceMax", ["large"], ["most"], keepdims=0),
        h.make_node("Add", ["x", "most"], ["y"]),
    ]  # fmt: skip
    return _of(nodes, [h.make_tensor("size", T.INT64, [1], [2**38])])


def _external(location: str) -> Any:
    from onnx import TensorProto as T
    from onnx import helper as h

    weights = h.make_tensor("w", T.FLOAT, [4], [0.0] * 4)
    del weights.float_data[:]
    weights.data_location = T.EXTERNAL
    for key, value in (("location", location), ("offset", "0"), ("length", "16")):
        entry = weights.external_data.add()
        entry.key, entry.value = key, value
    return _of([h.make_node("Add", ["x", "w"], ["y"])], [weights])


def _unknown() -> Any:
    from onnx import helper

    return _of([helper.make_node("RunShell", ["x"], ["y"], domain="evil")], [])
