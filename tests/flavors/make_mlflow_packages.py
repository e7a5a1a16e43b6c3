"""Saves the packages under mlflow_packages/ with MLflow, and records what MLflow's server answers for each of them.

    .venv-mlflow/bin/python tests/flavors/make_mlflow_packages.py [NAME…]

Beside each package stands NAME.json: request bodies with the status and the answer or the error code. Classes and
functions are pickled by value, so the packages load on the Python minor version alone that runs this script.
"""

# ruff: noqa: E402, T201, UP045  (warnings off before MLflow's import; hints as users write them)

from __future__ import annotations

import datetime as dt
import json
import os
import shutil
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any, Optional

os.environ["MLFLOW_TRACKING_URI"] = "file:///nonexistent"
os.environ["MLFLOW_TRACE_SAMPLING_RATIO"] = "0"
warnings.simplefilter("ignore")

import cloudpickle
import mlflow
import mlflow_chat_models
import pandas as pd
import pydantic
import yaml
from mlflow.exceptions import MlflowException
from mlflow.models import ModelSignature, infer_signature
from mlflow.protos.databricks_pb2 import RESOURCE_DOES_NOT_EXIST
from mlflow.pyfunc import scoring_server
from mlflow.pyfunc.utils.environment import _simulate_serving_environment
from mlflow.types import ParamSchema, ParamSpec
from mlflow.types.type_hints import TypeFromExample

PACKAGES = Path(__file__).parent / "mlflow_packages"
WANTED = sys.argv[1:]

cloudpickle.register_pickle_by_value(mlflow_chat_models)

FRAME = pd.DataFrame({"a": [1.5, 2.5], "b": [10.0, 20.0]})
ROWS = {"dataframe_split": {"columns": ["a", "b"], "data": [[1.5, 10.0], [2.5, 20.0], [-3.0, 0.25]]}}
COLUMNS = infer_signature(FRAME).inputs
SIGNED = ModelSignature(inputs=COLUMNS)
WITH_PARAMS = ModelSignature(inputs=COLUMNS, params=ParamSchema([ParamSpec("offset", "double", 0.5)]))

HELPER = 'def joined(words):\n    return "-".join(words)\n'

CODE_CLASS = '''# ruff: noqa
"""A model from code."""

from __future__ import annotations

import mlflow
from mlflow.exceptions import MlflowException
from mlflow.models import ModelConfig, set_model
from mlflow.protos.databricks_pb2 import RESOURCE_DOES_NOT_EXIST
from mlflow.types import ColSpec, DataType, Schema

config = ModelConfig(development_config={"factor": 1})
COLUMNS = Schema([ColSpec(DataType.double, "a")])


class Pump(mlflow.pyfunc.PythonModel):
    def load_context(self, context):
        self.factor = context.model_config["factor"]

    @mlflow.trace
    def predict(self, context, model_input, params=None):
        if (model_input["a"] < 0).any():
            raise MlflowException("no such pump", error_code=RESOURCE_DOES_NOT_EXIST)
        return (model_input["a"] * self.factor * config.get("factor")).tolist()


mlflow.models.set_model(Pump())
'''

CODE_FUNCTION = """# ruff: noqa
from typing import Dict, List

from mlflow.models import set_model
from mlflow.pyfunc.utils import pyfunc


@pyfunc
def predict(model_input: List[Dict[str, float]]) -> List[float]:
    return [sum(item.values()) for item in model_input]


set_model(predict)
"""


class Everything(mlflow.pyfunc.PythonModel):
    """Context, params, an artifact, settings, and a module of the package's own."""

    def load_context(self, context):
        with open(context.artifacts["words"], encoding="utf-8") as file:
            self.words = file.read().split()
        self.absolute = context.artifacts["words"].startswith("/")

    def predict(self, context, model_input, params=None):
        from made_by_mlflow_helper import joined

        return {
            "words": joined(self.words),
            "absolute": self.absolute,
            "config": context.model_config,
            "artifacts": sorted(context.artifacts),
            "total": float(model_input["a"].sum()) * context.model_config["scale"] + params["offset"],
        }


class Sums(mlflow.pyfunc.PythonModel):
    """Without a context; answers a series."""

    def __init__(self, start):
        self.start = start

    def predict(self, model_input, params=None):
        return (model_input["a"] + model_input["b"] + self.start).rename("sum")


class Params(mlflow.pyfunc.PythonModel):
    def predict(self, ctx, model_input, params=None):
        return {"params": params, "context": type(ctx).__name__, "config": ctx.model_config}


class Raises(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input):
        if model_input["a"].iloc[0] < 0:
            raise MlflowException("no such pump", error_code=RESOURCE_DOES_NOT_EXIST)
        if model_input["a"].iloc[0] > 100:
            raise MlflowException("broken")
        raise ValueError("plain")


def doubled(model_input):
    return (model_input["a"] * 2).tolist()


class Text(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input: list[str], params: Optional[dict[str, Any]] = None) -> list[str]:
        return [value.upper() for value in model_input]


class Numbers(mlflow.pyfunc.PythonModel):
    def predict(self, model_input: list[int]) -> list[int]:
        return [value + 1 for value in model_input]


class Floats(mlflow.pyfunc.PythonModel):
    def predict(self, model_input: list[float]) -> list[float]:
        return [value / 2 for value in model_input]


class Moments(mlflow.pyfunc.PythonModel):
    def predict(self, model_input: list[dt.datetime]) -> list[str]:
        return [(value + dt.timedelta(days=1)).isoformat() for value in model_input]


class Binary(mlflow.pyfunc.PythonModel):
    def predict(self, model_input: list[bytes]) -> list[int]:
        return [len(value) for value in model_input]


class Mixed(mlflow.pyfunc.PythonModel):
    def predict(self, model_input: list[dict[str, int | str]]) -> list[str]:
        return [repr(sorted(item.items())) for item in model_input]


class Gaps(mlflow.pyfunc.PythonModel):
    def predict(self, model_input: list[dict[str, Optional[int]]]) -> list[int]:
        return [sum(value or 0 for value in item.values()) for item in model_input]


class Place(pydantic.BaseModel):
    city: str
    people: Optional[int] = None


class Person(pydantic.BaseModel):
    name: str = pydantic.Field(min_length=2)
    height: float = 1.75
    tags: list[str] = []
    place: Optional[Place] = None


class People(mlflow.pyfunc.PythonModel):
    def predict(self, model_input: list[Person]) -> list[Person]:
        return [person.model_copy(update={"height": person.height * 2}) for person in model_input]


class FromExample(mlflow.pyfunc.PythonModel):
    def predict(self, model_input: TypeFromExample, params=None):
        return {"type": type(model_input).__name__, "value": repr(model_input)}


def from_example(model_input: TypeFromExample):
    return [type(model_input).__name__, repr(model_input)]


class Chat(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input, params=None):
        return {"type": type(model_input).__name__, "said": [m["content"] for m in model_input["messages"]]}


class Traced(mlflow.pyfunc.PythonModel):
    """Pickled with what the decorator wraps around it."""

    @mlflow.trace(name="outer", span_type="CHAIN", attributes={"a": 1})
    def predict(self, context, model_input, params=None):
        with mlflow.start_span(name="inner") as span:
            span.set_inputs({"rows": len(model_input)})
            answer = [self.half(value) for value in model_input["a"]]
            span.set_outputs(answer)
        if (active := mlflow.get_current_active_span()) is not None:
            active.set_attribute("n", len(answer))
        return answer

    @mlflow.trace
    def half(self, value):
        return value / 2


def saved(name: str, bodies: list[Any], compression: str = "", **arguments: Any) -> Path:
    """Saves one package and records the answers to `bodies`."""
    target = PACKAGES / name
    if WANTED and name not in WANTED:
        return target
    shutil.rmtree(target, ignore_errors=True)
    os.environ["MLFLOW_LOG_MODEL_COMPRESSION"] = compression
    if not compression:
        del os.environ["MLFLOW_LOG_MODEL_COMPRESSION"]
    mlflow.pyfunc.save_model(path=str(target), pip_requirements=["mlflow"], **arguments)
    for file in ("conda.yaml", "python_env.yaml", "requirements.txt"):
        (target / file).unlink()
    shutil.rmtree(target / "code" / "__pycache__", ignore_errors=True)
    manifest = yaml.safe_load((target / "MLmodel").read_text())
    settled(
        target, {k: v for k, v in manifest.items() if k not in ("utc_time_created", "model_uuid", "databricks_runtime")}
    )
    recorded = [asked(target, body) for body in bodies]
    shutil.rmtree(target / "code" / "__pycache__", ignore_errors=True)
    (PACKAGES / f"{name}.json").write_text(json.dumps(recorded, indent=1) + "\n")
    return target


def settled(target: Path, manifest: dict[str, Any]) -> None:
    (target / "MLmodel").write_text(yaml.safe_dump(manifest, sort_keys=True, allow_unicode=True))


def asked(target: Path, body: Any) -> dict[str, Any]:
    """What MLflow's scoring server says to a body."""
    with _simulate_serving_environment():
        model = mlflow.pyfunc.load_model(str(target))
        try:
            schema = model.metadata.get_input_schema()
            answer = scoring_server.invocations(json.dumps(body), "application/json", model, schema)
            return {"body": body, "status": answer.status, "answer": json.loads(answer.response)}
        except MlflowException as error:
            return {"body": body, "status": error.get_http_status_code(), "error_code": error.error_code}


def inputs(*values: Any) -> list[dict[str, Any]]:
    return [{"inputs": value} for value in values]


def with_code(place: Path) -> None:
    (place / "made_by_mlflow_helper.py").write_text(HELPER)
    (place / "words.txt").write_text("one two three")
    (place / "code_class.py").write_text(CODE_CLASS)
    (place / "code_function.py").write_text(CODE_FUNCTION)
    saved(
        "everything",
        [ROWS, {**ROWS, "params": {"offset": 2.0}}],
        python_model=Everything(),
        signature=WITH_PARAMS,
        artifacts={"words": str(place / "words.txt")},
        code_paths=[str(place / "made_by_mlflow_helper.py")],
        model_config={"scale": 2.0, "unit": "bar"},
    )
    negative = {"dataframe_split": {"columns": ["a", "b"], "data": [[-1.0, 0.0]]}}
    code: dict[str, Any] = {"python_model": str(place / "code_class.py"), "model_config": {"factor": 3}}
    saved("from_code_class", [ROWS | {"dataframe_split": {**ROWS["dataframe_split"], "data": [[2.0, 1.0]]}}, negative],
          signature=SIGNED, **code)  # fmt: skip
    saved("from_code_function", inputs([{"x": 1.5, "y": 2.0}], [{"x": 1}], [{"x": "1"}], {"x": 1.5}, []),
          python_model=str(place / "code_function.py"))  # fmt: skip


def pickled() -> None:
    saved("params", [ROWS, {**ROWS, "params": {"offset": 4.0}}], python_model=Params(), signature=WITH_PARAMS)
    saved("no_params", [ROWS], python_model=Params(), signature=SIGNED)
    raising = [{"dataframe_split": {"columns": ["a", "b"], "data": [[a, 0.0]]}} for a in (-1.0, 101.0, 1.0)]
    saved("raises", raising, python_model=Raises(), signature=SIGNED)
    saved("function", [ROWS], python_model=doubled, signature=infer_signature(FRAME, [1.0]))
    for compression in ("gzip", "bzip2", "lzma"):
        saved(compression, [ROWS], compression, python_model=Sums(0.25), signature=SIGNED)
    saved("traced", [ROWS], python_model=Traced(), signature=SIGNED)
    old = saved("old_layout", [ROWS], python_model=Sums(1.0), signature=SIGNED)
    manifest = yaml.safe_load((old / "MLmodel").read_text())
    if WANTED and old.name not in WANTED:
        return
    manifest = {key: manifest[key] for key in ("flavors", "signature")} | {"artifact_path": "model"}
    manifest["flavors"]["python_function"]["env"] = "conda.yaml"
    del manifest["flavors"]["python_function"]["code"], manifest["flavors"]["python_function"]["streamable"]
    settled(old, manifest)


def hinted() -> None:
    saved("text", [*inputs(["a", "b"], [], ["a", 1], "a", [None], {"x": ["a"]}), {"dataframe_records": [{"x": "a"}]}],
          python_model=Text())  # fmt: skip
    saved("integers", inputs([1, 2], [1.0], ["1"], [True], [None]), python_model=Numbers())
    saved("floats", inputs([1.5, -2.0], [1], [None]), python_model=Floats())
    saved("moments", inputs(["2024-02-28", "2024-02-28T10:00:00+02:00"], [1], ["soon"]), python_model=Moments())
    saved("binary", inputs(["YWJj", ""], [1], ["YWJ"]), python_model=Binary())
    saved("mixed", inputs([{"x": 1, "y": "z"}], [{"x": 1.5}], [[1]]), python_model=Mixed())
    saved("gaps", inputs([{"x": 1, "y": None}], [{"x": "1"}]), python_model=Gaps())
    person = {"name": "Ada", "height": 1.5, "tags": ["x"], "place": {"city": "Ulm", "people": 3}}
    saved("people", inputs([person, {"name": "Bo"}], [{"name": "Bo", "extra": 1}], [{"name": "B"}], [{"height": 1.0}],
                           [{"name": "Bo", "height": 2}], [{"name": "Bo", "height": "2"}], ["Bo"],
                           [{"name": "Bo", "place": {"city": 1}}]),
          python_model=People())  # fmt: skip
    saved("example_list", inputs(["a", "b"]), python_model=FromExample(), input_example=["x", "y"])
    saved("example_dicts", inputs([{"a": 1, "b": 2.5}, {"a": 2, "b": 0.5}]), python_model=from_example,
          input_example=[{"a": 1, "b": 2.5}])  # fmt: skip
    saved("chat", [{"messages": [{"role": "user", "content": "hi"}], "temperature": 1}], python_model=Chat())


def chats() -> None:
    user = {"role": "user", "content": "hi"}
    called: dict[str, Any] = {
        "role": "assistant",
        "tool_calls": [{"id": "t1", "function": {"name": "f", "arguments": "{}"}}],
    }
    tool = {"type": "function", "function": {"name": "g", "parameters": {"properties": {"q": {"type": "string"}}}}}
    saved("chat_model", [
        {"messages": [user, {**called, "tool_calls": [{**called["tool_calls"][0], "type": "function"}]}], "n": 1},
        {"messages": [user], "temperature": 0, "stop": ["."], "custom_inputs": {"a": {"b": [1, None]}}},
        {"messages": [user], "tools": [tool]},
        {"messages": []},
        {"messages": [{"role": "user"}]},
        {"dataframe_records": [{"messages": [user], "max_tokens": 5}]},
    ], python_model=mlflow_chat_models.ChatModel())  # fmt: skip
    saved("chat_agent", [
        {"messages": [user], "context": {"user_id": "u"}},
        {"messages": [user], "custom_inputs": {"wants": "dict"}},
        {"messages": [user], "custom_inputs": {"wants": "no ids"}},
        {"messages": [{"role": "tool", "content": "no name"}]},
        {"messages": [called]},
        {"messages": [{**user, "attachments": {"a": "b"}}, {**user, "id": "7", "name": "Bo"}]},
    ], python_model=mlflow_chat_models.ChatAgent())  # fmt: skip
    items = [{"type": "function_call", "id": "f1", "call_id": "c1", "name": "f", "arguments": "{}"},
             {"type": "function_call_output", "call_id": "c1", "output": "7"}]  # fmt: skip
    saved("responses_agent", [
        {"input": [user], "custom_inputs": {"a": [1]}},
        {"input": [{"role": "user", "content": [{"type": "input_text", "text": "part"}]}, *items]},
        {"input": [{"role": "nobody", "content": "x"}]},
        {"input": [{"type": "unknown"}]},
        {"input": [{"role": "user", "content": [{"text": "no type"}]}]},
        {"input": [user], "temperature": "hot"},
        {"input": [user], "tools": [{"type": "function", "name": "f"}]},
    ], python_model=mlflow_chat_models.Responses())  # fmt: skip


def main() -> None:
    if not WANTED:
        shutil.rmtree(PACKAGES, ignore_errors=True)
    PACKAGES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as place:
        with_code(Path(place))
    pickled()
    hinted()
    chats()
    size = sum(p.stat().st_size for p in PACKAGES.rglob("*") if p.is_file())
    print(f"{len(list(PACKAGES.glob('*.json')))} packages, {size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
