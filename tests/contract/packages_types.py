"""Packages that answer with what they were given, one for every way in which an input can be declared."""

from __future__ import annotations

from functools import partial

import numpy as np
from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec
from mlflow.types.schema import AnyType, Array, Map, Object, Property

from contract.saving import columns, save_loader, signed, tensors

SCALARS = ("boolean", "integer", "long", "float", "double", "string", "binary", "datetime")

POINT = Object([Property("x", DataType.double), Property("n", DataType.long), Property("s", DataType.string, False)])
COMPOUND = {
    "array": Array(DataType.double),
    "array_strings": Array(DataType.string),
    "array_deep": Array(Array(DataType.long)),
    "object": POINT,
    "array_objects": Array(POINT),
    "object_deep": Object([Property("p", POINT), Property("l", Array(DataType.string)), Property("o", POINT, False)]),
    "map": Map(DataType.double),
    "map_arrays": Map(Array(DataType.long)),
    "any": AnyType(),
}

PARAMS = ParamSchema(
    [
        ParamSpec("flag", DataType.boolean, True),
        ParamSpec("count", DataType.integer, 3),
        ParamSpec("total", DataType.long, 2**40),
        ParamSpec("ratio", DataType.float, 0.5),
        ParamSpec("scale", DataType.double, 1.5),
        ParamSpec("word", DataType.string, "w"),
        ParamSpec("since", DataType.datetime, np.datetime64("2024-01-02T03:04:05")),
        ParamSpec("missing", DataType.double, None),
        ParamSpec("counts", DataType.long, [1, 2], (-1,)),
        ParamSpec("scales", DataType.double, [0.5], (-1,)),
        ParamSpec("words", DataType.string, ["a"], (-1,)),
        ParamSpec("flags", DataType.boolean, [True], (-1,)),
        ParamSpec("moments", DataType.datetime, [np.datetime64("2024-01-02")], (-1,)),
        ParamSpec("options", Object([Property("k", DataType.string), Property("n", DataType.long, False)]), {"k": "v"}),
    ]
)


def _echo(schema, params=None):
    return partial(save_loader, source="echo.py", signature=signed(schema, params=params))


def _pair(type_):
    """Two required columns of one type, so that columns can be missing, extra and reordered."""
    return _echo(columns((type_, "x"), (type_, "y")))


PACKAGES = {
    **{f"echo_{name}": _pair(DataType[name]) for name in SCALARS},
    **{f"echo_{name}": _pair(type_) for name, type_ in COMPOUND.items()},
    "echo_optional": _echo(
        columns(
            *[(DataType[n], n, False) for n in SCALARS], (COMPOUND["array"], "array", False), (POINT, "object", False)
        )
    ),
    "echo_optional_compound": _echo(
        columns((DataType.string, "s"), *[(type_, name, False) for name, type_ in COMPOUND.items()])
    ),
    "echo_mixed": _echo(columns(*[(DataType[n], n) for n in SCALARS])),
    "echo_one_double": _echo(columns((DataType.double, "x"))),
    "echo_one_string": _echo(columns((DataType.string, "x"))),
    "echo_unnamed": _echo(columns(ColSpec(DataType.double), ColSpec(DataType.long), ColSpec(DataType.string))),
    "echo_unnamed_doubles": _echo(columns(ColSpec(DataType.double), ColSpec(DataType.double))),
    "echo_unnamed_string": _echo(columns(ColSpec(DataType.string))),
    "echo_unnamed_array": _echo(columns(ColSpec(Array(DataType.double)))),
    "echo_integer_names": _echo(columns((DataType.double, 0), (DataType.double, 1))),
    "echo_no_signature": partial(save_loader, source="echo.py"),
    "echo_tensor": _echo(tensors((np.dtype("float64"), (-1, 3)))),
    "echo_tensor_long": _echo(tensors((np.dtype("int64"), (-1, 2)))),
    "echo_tensor_any_rank": _echo(tensors((np.dtype("float32"), (-1, -1, 2)))),
    "echo_tensor_strings": _echo(tensors((np.dtype("str"), (-1, 1)))),
    "echo_tensor_object": _echo(tensors((np.dtype("object"), (-1,)))),
    "echo_image": _echo(tensors((np.dtype("uint8"), (-1, 2, 2, 3)))),
    "echo_tensors_named": _echo(
        tensors((np.dtype("float32"), (-1, 2), "a"), (np.dtype("int64"), (-1,), "b"), (np.dtype("bool"), (-1, 1), "c"))
    ),
    "echo_tensor_one_named": _echo(tensors((np.dtype("float64"), (-1, 2), "a"))),
    "echo_tensor_small": _echo(tensors((np.dtype("int8"), (-1,), "a"), (np.dtype("float16"), (-1,), "b"))),
    "echo_params": _echo(columns((DataType.double, "x")), PARAMS),
    "echo_params_no_inputs": _echo(None, PARAMS),
    "echo_params_tensor": _echo(
        tensors((np.dtype("float64"), (-1, 1))), ParamSchema([ParamSpec("k", DataType.long, 1)])
    ),
    "answers": partial(save_loader, source="answers.py"),
}
