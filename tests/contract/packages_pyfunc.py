"""PythonModels: pickled by value, from code, hinted, chat-shaped, functions."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import cloudpickle
from mlflow.pyfunc import save_model
from mlflow.types import DataType, ParamSchema, ParamSpec
from mlflow.types.schema import Array, Object, Property

from contract.models import echo, python_models
from contract.saving import MODELS, columns, save, signed

# Not importable where the packages are loaded, as a notebook's classes are not.
cloudpickle.register_pickle_by_value(python_models)
cloudpickle.register_pickle_by_value(echo)

ONE = columns((DataType.double, "x"))
MESSAGE = Object([Property("role", DataType.string), Property("content", DataType.string, False)])


def _model(make, **arguments):
    return lambda name: save(name, save_model, python_model=make(), **arguments)


def everything(name: str) -> None:
    """An artifact, settings and code paths."""
    with tempfile.TemporaryDirectory() as place:
        words = Path(place) / "words.txt"
        words.write_text("alpha beta", encoding="utf-8")
        save(
            name,
            save_model,
            python_model=python_models.Everything(),
            artifacts={"words": str(words)},
            model_config={"scale": 2.5, "nested": {"k": [1, 2]}},
            code_paths=[str(MODELS / "contract_words.py")],
            signature=signed(columns((DataType.double, "a"))),
        )


def compressed(name: str, kind: str = "gzip") -> None:
    os.environ["MLFLOW_LOG_MODEL_COMPRESSION"] = kind
    try:
        save(name, save_model, python_model=python_models.Plain(), signature=signed(ONE))
    finally:
        del os.environ["MLFLOW_LOG_MODEL_COMPRESSION"]


def from_code(name: str) -> None:
    params = ParamSchema([ParamSpec("power", DataType.long, 1)])
    save(
        name,
        save_model,
        python_model=str(MODELS / "from_code.py"),
        model_config={"factor": 3},
        signature=signed(ONE, params=params),
    )


def function_from_code(name: str) -> None:
    schema = columns((DataType.string, "s"))
    save(name, save_model, python_model=str(MODELS / "function_from_code.py"), signature=signed(schema))


PACKAGES = {
    "python_plain": _model(python_models.Plain, signature=signed(ONE)),
    "python_no_signature": _model(python_models.Plain),
    "python_without_context": _model(python_models.WithoutContext, signature=signed(ONE)),
    "python_without_params": _model(
        python_models.WithoutParams, signature=signed(ONE, params=ParamSchema([ParamSpec("k", DataType.long, 1)]))
    ),
    "python_everything": everything,
    "python_gzip": compressed,
    "python_xz": lambda name: compressed(name, "lzma"),
    "python_from_code": from_code,
    "python_function_from_code": function_from_code,
    "python_frames": _model(
        python_models.Frames, signature=signed(columns((DataType.double, "a"), (DataType.long, "b")))
    ),
    "python_series": _model(python_models.Series, signature=signed(ONE)),
    "python_stateful": _model(
        lambda: python_models.Stateful(10),
        signature=signed(ONE, params=ParamSchema([ParamSpec("more", DataType.double, 0.0)])),
    ),
    "python_function": _model(lambda: python_models.doubled, input_example=["a", "b"]),
    "python_function_hinted": _model(lambda: python_models.hinted, input_example=["a", "b"]),
    "hint_strings": _model(python_models.Text),
    "hint_numbers": _model(python_models.Numbers),
    "hint_dicts": _model(python_models.Dicts),
    "hint_moments": _model(python_models.Moments),
    "hint_binary": _model(python_models.Binary),
    "hint_lists": _model(python_models.Lists),
    "hint_any": _model(python_models.Untyped, input_example=["a"]),
    "hint_pydantic": _model(python_models.People),
    "chat_no_signature": _model(python_models.Chat),
    "chat_messages": _model(
        python_models.Chat,
        signature=signed(
            columns((Array(MESSAGE), "messages")),
            params=ParamSchema(
                [ParamSpec("temperature", DataType.double, 1.0), ParamSpec("stop", DataType.string, [], (-1,))]
            ),
        ),
    ),
    "chat_prompt": _model(
        python_models.Chat, signature=signed(columns((DataType.string, "prompt"), (DataType.long, "n", False)))
    ),
    "chat_input": _model(python_models.Chat, signature=signed(columns((DataType.string, "input")))),
}
