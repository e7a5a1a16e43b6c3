"""The stand-ins for MLflow's modules, and the type hints of its models."""

# ruff: noqa: UP006, UP007, UP035, UP045  (hints as users write them)

from __future__ import annotations

import importlib
import sys
import threading
from datetime import datetime
from importlib.util import find_spec
from types import ModuleType
from typing import Any, Dict, List, Literal, Optional, Union

import pandas as pd
import pytest
from pydantic import BaseModel

from penstock.errors import SchemaViolation
from penstock.flavors.python.mlflow_stubs import (
    InputRefused,
    MlflowException,
    mlflow_installed,
    pyfunc,
    standins,
)
from penstock.flavors.python.type_hints import TypeFromExample, input_hint, is_validated, validate_hinted
from penstock.wire.mlflow.error_codes import error_code_of

without_mlflow = pytest.mark.skipif(mlflow_installed(), reason="MLflow is installed, so nothing stands in for it")


class Place(BaseModel):
    city: str
    people: int | None = None


class Choice(BaseModel):
    kind: Literal["a", "b"]


def names_present() -> list[str]:
    return [name for name in sys.modules if name.partition(".")[0] == "mlflow"]


@without_mlflow
def test_the_modules_are_there_inside_the_block_alone() -> None:
    with standins():
        import mlflow
        from mlflow.exceptions import MlflowException as imported
        from mlflow.models import ModelConfig, set_model
        from mlflow.models.signature import _TypeHints
        from mlflow.pyfunc import PythonModel
        from mlflow.pyfunc.model import _FunctionPythonModel
        from mlflow.pyfunc.utils.data_validation import FuncInfo, _validate_model_input
        from mlflow.types.schema import ColSpec, DataType, Schema

        assert mlflow.pyfunc.PythonModel is PythonModel
        assert mlflow.models.set_model is set_model
        assert imported is MlflowException
        assert all((ModelConfig, _TypeHints, _FunctionPythonModel, FuncInfo, _validate_model_input))
        assert Schema([ColSpec(DataType(5), "a")])
        assert not mlflow_installed()
        assert find_spec("mlflow") is not None  # it answers, where it would raise without a spec
    assert not names_present()
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("mlflow")


@without_mlflow
def test_nothing_is_left_after_a_failure() -> None:
    with pytest.raises(ZeroDivisionError), standins(), standins():
        raise ZeroDivisionError
    assert not names_present()


@without_mlflow
def test_what_was_there_comes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mlflow", None)  # as who wants no MLflow has it
    stray = ModuleType("mlflow.stray")
    monkeypatch.setitem(sys.modules, "mlflow.stray", stray)
    with standins():
        assert sys.modules["mlflow"] is not None
        assert "mlflow.stray" not in sys.modules
    assert sys.modules["mlflow"] is None
    assert sys.modules["mlflow.stray"] is stray


def test_a_real_mlflow_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    real = ModuleType("mlflow")
    monkeypatch.setitem(sys.modules, "mlflow", real)
    with standins():
        assert sys.modules["mlflow"] is real
        assert "mlflow.pyfunc.model" not in sys.modules
    assert sys.modules["mlflow"] is real


@without_mlflow
def test_a_directory_called_mlflow_is_no_mlflow(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mlflow").mkdir()
    monkeypatch.syspath_prepend(str(tmp_path))
    assert not mlflow_installed()


@without_mlflow
def test_stubs_stay_until_the_last_of_overlapping_blocks_ends() -> None:
    inside, leave = threading.Event(), threading.Event()

    def other() -> None:
        with standins():
            inside.set()
            leave.wait(10)

    thread = threading.Thread(target=other)
    thread.start()
    inside.wait(10)
    with standins():
        assert names_present()
    assert names_present()  # the other one still needs them
    leave.set()
    thread.join()
    assert not names_present()


@pytest.mark.parametrize(
    ("code", "name"), [(3002, "RESOURCE_DOES_NOT_EXIST"), (1, "INTERNAL_ERROR"), (-1, "INTERNAL_ERROR")]
)
def test_exceptions_carry_their_code(code: int, name: str) -> None:
    error = MlflowException("gone", error_code=code)
    assert (error_code_of(error), error.message, str(error)) == (name, "gone", "gone")
    assert error_code_of(MlflowException.invalid_parameter_value("x")) == "INVALID_PARAMETER_VALUE"


@pytest.mark.parametrize(
    ("hint", "given", "wanted"),
    [
        (list[str], ["a"], ["a"]),
        (List[str], [], []),
        (list[Any], [1, None, {}], [1, None, {}]),
        (list[bool], [True], [True]),
        (list[bytes], ["YWJj", b"x"], [b"abc", b"x"]),
        (list[datetime], ["2024-01-02T03:04:05Z"], [datetime.fromisoformat("2024-01-02T03:04:05+00:00")]),
        (list[dict[str, list[int]]], [{"a": [1]}], [{"a": [1]}]),
        (List[Dict[str, str]], [{"a": "b"}], [{"a": "b"}]),
        (list[Place], [{"city": "Ulm"}], [Place(city="Ulm")]),
        (list[Place], [Place(city="Ulm")], [Place(city="Ulm")]),
        (list[dict[str, Optional[Place]]], [{"a": None, "b": {"city": "Ulm"}}], [{"a": None, "b": Place(city="Ulm")}]),
        (list[Union[int, str]], [1.5], [1.5]),
        (list[dict[str, int | str | None]], [{"a": None, "b": 1.5}], [{"a": None, "b": 1.5}]),
    ],
)
def test_inputs_that_fit_their_hint_are_converted(hint: Any, given: Any, wanted: Any) -> None:
    assert is_validated(hint)
    assert validate_hinted(given, hint) == wanted


@pytest.mark.parametrize(
    ("hint", "given", "row", "reason"),
    [
        (list[str], "a", None, "a list is wanted, not 'a'"),
        (list[str], ["a", 1], 1, "str is wanted, not 1"),
        (list[float], [1], 0, "float is wanted, not 1"),
        (list[bytes], ["YWJ"], 0, "'YWJ' is not base64"),
        (list[datetime], ["soon"], 0, "'soon' is not a moment in ISO 8601"),
        (list[list[int]], [[1], [2, "x"]], 1, "item 1: int is wanted, not 'x'"),
        (list[dict[str, int]], [{"a": "x"}], 0, "key 'a': int is wanted, not 'x'"),
        (list[dict[str, int]], [[]], 0, "an object is wanted, not []"),
        (list[Place], [{"city": "Ulm", "people": "3"}], 0, "people: Input should be a valid integer, not '3'"),
        (list[Place], [{}], 0, "city is missing"),
        (list[Place], [None], 0, "an object is wanted, not None"),
    ],
)
def test_inputs_that_do_not_fit_their_hint_are_refused_with_row_and_reason(
    hint: Any, given: Any, row: int | None, reason: str
) -> None:
    with pytest.raises(SchemaViolation) as refused:
        validate_hinted(given, hint)
    (violation,) = refused.value.violations
    assert (violation.row, violation.reason, violation.at_parse) == (row, reason, False)


def test_a_refusal_names_the_first_rows_alone() -> None:
    with pytest.raises(SchemaViolation) as refused:
        validate_hinted([1] * 1000, list[str])
    assert len(refused.value.violations) == 20


@pytest.mark.parametrize(
    "hint",
    [None, str, list, List, dict[str, str], list[Optional[str]], list[Choice], list[set[int]], list[dict[int, str]],
     pd.DataFrame, TypeFromExample, Optional[list[str]]],
)  # fmt: skip
def test_hints_that_mlflow_does_not_check_by_are_not_checked(hint: Any) -> None:
    assert not is_validated(hint)


def test_a_wrapped_function_checks_its_input_wherever_it_stands() -> None:
    @pyfunc
    def predict(context: Any, model_input: list[str], params: Any = None) -> Any:
        return model_input, params

    assert predict(None, ["a"], {"p": 1}) == (["a"], {"p": 1})
    assert predict(None, model_input=["a"]) == (["a"], None)
    with pytest.raises(InputRefused) as refused:
        predict(None, [1])
    assert isinstance(refused.value, (SchemaViolation, MlflowException))
    assert error_code_of(refused.value) == "INVALID_PARAMETER_VALUE"


@pytest.mark.parametrize(
    ("hint", "frame", "wanted"),
    [
        (list[str], pd.DataFrame({"x": ["a", "b"], "y": [1, 2]}), ["a", "b"]),
        (list[Place], pd.DataFrame({"city": ["Ulm"], "people": [3]}), [Place(city="Ulm", people=3)]),
        (list[Place], pd.DataFrame({0: [{"city": "Ulm"}]}), [Place(city="Ulm")]),
    ],
)
def test_frames_become_the_list_that_a_hint_wants(hint: Any, frame: Any, wanted: Any) -> None:
    def predict(model_input: Any) -> Any:
        return model_input

    predict.__annotations__["model_input"] = hint
    assert pyfunc(predict)(frame) == wanted


def test_hints_that_cannot_be_evaluated_are_read_as_text() -> None:
    def predict(context, model_input, params=None):  # type: ignore[no-untyped-def]
        return model_input

    predict.__annotations__ = {"model_input": "List[str]", "return": "Unknown"}
    assert input_hint(predict, 1) == ("model_input", list[str])
    predict.__annotations__ = {"model_input": "Unknown"}
    assert input_hint(predict, 1) == ("model_input", None)
    assert input_hint(lambda: None, 0) == ("", None)
