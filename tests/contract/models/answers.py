"""A model that answers with whatever its input asks for by name: every kind of value that a model may return."""

import datetime as dt
import decimal
import math
import uuid

import numpy as np
import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.protos import databricks_pb2
from pydantic import BaseModel


class Point(BaseModel):
    x: float
    label: str = "p"
    when: dt.datetime | None = None
    inner: dict[str, int] = {}


def _frame():
    return pd.DataFrame({"a": [1, 2], "b": [0.5, 1.5], "c": ["x", "y"]})


def _moments():
    return pd.to_datetime(["2024-01-02", "2024-01-02T03:04:05.678901", None])


def _raise(error):
    raise error


def _mlflow_error(code):
    raise MlflowException(f"refused with {code}", error_code=getattr(databricks_pb2, code))


DTYPES = [
    "bool",
    "int8",
    "int16",
    "int32",
    "int64",
    "uint8",
    "uint16",
    "uint32",
    "uint64",
    "float16",
    "float32",
    "float64",
]

FRAMES = {
    "frame": _frame,
    "frame with an index": lambda: _frame().set_index("c"),
    "frame with a multi index": lambda: _frame().set_index(["a", "c"]),
    "frame with duplicate names": lambda: pd.DataFrame([[1, 2, 3]], columns=["a", "b", "a"]),
    "frame with integer names": lambda: pd.DataFrame([[1, 2], [3, 4]]),
    "frame with multi columns": lambda: pd.DataFrame([[1, 2]], columns=pd.MultiIndex.from_tuples([("a", 1), ("a", 2)])),
    "frame with datetimes": lambda: pd.DataFrame({"t": _moments()}),
    "frame with zoned datetimes": lambda: pd.DataFrame({"t": _moments().tz_localize("Europe/Paris")}),
    "frame with nanoseconds": lambda: pd.DataFrame({"t": pd.to_datetime(["2024-01-01T00:00:00.123456789"])}),
    "frame with dates": lambda: pd.DataFrame({"d": [dt.date(2024, 1, 2), None]}),
    "frame with times": lambda: pd.DataFrame({"d": [dt.time(1, 2, 3)]}),
    "frame with timedeltas": lambda: pd.DataFrame({"d": pd.to_timedelta([1, 2], unit="s")}),
    "frame with missing floats": lambda: pd.DataFrame({"a": [1.0, None, math.inf, -math.inf]}),
    "frame with missing strings": lambda: pd.DataFrame({"s": ["a", None]}),
    "frame with missing objects": lambda: pd.DataFrame({"o": pd.Series([1, None, "x", math.nan], dtype=object)}),
    "frame with nullable integers": lambda: pd.DataFrame({"i": pd.array([1, None], dtype="Int64")}),
    "frame with nullable booleans": lambda: pd.DataFrame({"i": pd.array([True, None], dtype="boolean")}),
    "frame with nullable strings": lambda: pd.DataFrame({"i": pd.array(["a", None], dtype="string")}),
    "frame with categories": lambda: pd.DataFrame({"c": pd.Categorical(["x", "y", None])}),
    "frame with integer categories": lambda: pd.DataFrame({"c": pd.Categorical([3, 1, 3])}),
    "frame with lists": lambda: pd.DataFrame({"l": [[1, 2], []]}),
    "frame with arrays": lambda: pd.DataFrame({"l": [np.array([1.5, 2]), np.array([[1], [2]])]}),
    "frame with dicts": lambda: pd.DataFrame({"d": [{"a": 1}, {"b": None}]}),
    "frame with bytes": lambda: pd.DataFrame({"b": [b"abc", b""]}),
    "frame with float32": lambda: pd.DataFrame({"f": np.array([0.1, 1 / 3], dtype=np.float32)}),
    "frame with small integers": lambda: pd.DataFrame({"i": np.array([1, 255], dtype=np.uint8)}),
    "frame with big integers": lambda: pd.DataFrame({"i": np.array([2**63, 2**64 - 1], dtype=np.uint64)}),
    "frame with complex": lambda: pd.DataFrame({"i": [1 + 2j]}),
    "frame with periods": lambda: pd.DataFrame({"i": pd.period_range("2024-01", periods=2, freq="M")}),
    "frame with decimals": lambda: pd.DataFrame({"i": [decimal.Decimal("1.5")]}),
    "frame of booleans": lambda: pd.DataFrame({"b": [True, False]}),
    "frame without rows": lambda: _frame().iloc[:0],
    "frame without columns": lambda: pd.DataFrame(index=[0, 1]),
    "frame of mixed numbers": lambda: pd.DataFrame([[1, 2.5], [3, 4.5]]),
    "frame with sparse": lambda: pd.DataFrame({"s": pd.arrays.SparseArray([0, 0, 1])}),
    "series": lambda: pd.Series([1.5, 2.5]),
    "series with a name": lambda: pd.Series(["a", "b"], name="label"),
    "series with an integer name": lambda: pd.Series([1, 2], name=7),
    "series with an index": lambda: pd.Series([1, 2], index=["r", "s"]),
    "series of datetimes": lambda: pd.Series(_moments(), name="t"),
    "series with missing": lambda: pd.Series([1, None], name="m"),
    "series without rows": lambda: pd.Series([], dtype=float),
    "index": lambda: pd.Index([1, 2]),
    "timestamp": lambda: pd.Timestamp("2024-01-02T03:04:05"),
    "timestamp with zone": lambda: pd.Timestamp("2024-01-02T03:04:05", tz="UTC"),
    "NaT": lambda: pd.NaT,
    "NA": lambda: pd.NA,
    "list with NA": lambda: [pd.NA],
    "list with timestamps": lambda: [pd.Timestamp("2024-01-02"), pd.NaT],
    "list of frames": lambda: [_frame()],
    "list of series": lambda: [pd.Series([1, 2])],
    "dict of frames": lambda: {"f": _frame()},
    "dict of series": lambda: {"f": pd.Series([1, 2])},
}

ARRAYS = {
    **{f"array of {d}": (lambda d=d: np.array([0, 1, 1], dtype=d)) for d in DTYPES},
    **{f"matrix of {d}": (lambda d=d: np.array([[0, 1], [1, 0]], dtype=d)) for d in DTYPES},
    "array of rank 0": lambda: np.array(1.5),
    "array of rank 0, string": lambda: np.array("a"),
    "array of rank 3": lambda: np.arange(8.0).reshape(2, 2, 2),
    "array with NaN": lambda: np.array([1.0, np.nan, np.inf, -np.inf]),
    "matrix with NaN": lambda: np.array([[1.0, np.nan]]),
    "array of float32 fractions": lambda: np.array([0.1, 1 / 3], dtype=np.float32),
    "array of float16 fractions": lambda: np.array([0.1, 1 / 3], dtype=np.float16),
    "array of big integers": lambda: np.array([2**63 - 1, -(2**63)]),
    "array of big unsigned": lambda: np.array([2**64 - 1], dtype=np.uint64),
    "array of big-endian": lambda: np.array([1, 2], dtype=">i4"),
    "array of strings": lambda: np.array(["a", "bcd", "é☃"]),
    "array of bytes": lambda: np.array([b"a", b"bcd"]),
    "array of objects": lambda: np.array([1, "a", None, 2.5], dtype=object),
    "array of objects with arrays": lambda: np.array([np.array([1]), [2]], dtype=object),
    "array of objects with datetimes": lambda: np.array([dt.datetime(2024, 1, 2)], dtype=object),
    "array of objects with bytes": lambda: np.array([b"abc"], dtype=object),
    "array of StringDType": lambda: np.array(["a", "b"], dtype=np.dtypes.StringDType()),
    "array of datetime64[ns]": lambda: np.array(["2024-01-02T03:04:05", "NaT"], dtype="datetime64[ns]"),
    "array of datetime64[us]": lambda: np.array(["2024-01-02T03:04:05.000006", "NaT"], dtype="datetime64[us]"),
    "array of datetime64[ms]": lambda: np.array(["2024-01-02T03:04:05", "NaT"], dtype="datetime64[ms]"),
    "array of datetime64[s]": lambda: np.array(["2024-01-02T03:04:05"], dtype="datetime64[s]"),
    "array of datetime64[D]": lambda: np.array(["2024-01-02", "NaT"], dtype="datetime64[D]"),
    "matrix of datetime64[D]": lambda: np.array([["2024-01-02"]], dtype="datetime64[D]"),
    "array of timedelta64[ns]": lambda: np.array([1], dtype="timedelta64[ns]"),
    "array of timedelta64[s]": lambda: np.array([1], dtype="timedelta64[s]"),
    "array of complex": lambda: np.array([1 + 2j]),
    "array of records": lambda: np.array([(1, 2.0)], dtype=[("a", "i4"), ("b", "f8")]),
    "array without items": lambda: np.array([]),
    "matrix without rows": lambda: np.empty((0, 3)),
    "matrix without columns": lambda: np.empty((2, 0)),
    "numpy float64": lambda: np.float64(1.5),
    "numpy float32": lambda: np.float32(0.1),
    "numpy int64": lambda: np.int64(3),
    "numpy bool": lambda: np.bool_(True),
    "numpy str": lambda: np.str_("a"),
    "numpy bytes": lambda: np.bytes_(b"a"),
    "numpy datetime64": lambda: np.datetime64("2024-01-02T03:04:05"),
    "numpy datetime64[D]": lambda: np.datetime64("2024-01-02"),
    "numpy timedelta64": lambda: np.timedelta64(1, "s"),
    "numpy NaN": lambda: np.float64("nan"),
    "masked array": lambda: np.ma.array([1, 2], mask=[False, True]),
    "list of arrays": lambda: [np.array([1, 2]), np.array([[3.5]])],
    "list of numpy scalars": lambda: [np.float32(0.1), np.int8(1), np.bool_(False), np.str_("s")],
    "list with datetime64": lambda: [np.datetime64("2024-01-02"), np.datetime64("2024-01-02T03:04:05.5", "ns")],
    "dict of arrays": lambda: {"a": np.array([1, 2]), "b": np.array([[1.5], [2.5]])},
    "dict of datetime arrays": lambda: {"a": np.array(["2024-01-02"], dtype="datetime64[ns]")},
    "nested dict with arrays": lambda: {"o": {"i": np.array([1, 2]), "l": [np.float64(1.5), np.array("x")]}},
    "tuple of arrays": lambda: (np.array([1]), np.array([2.5])),
}

PLAIN = {
    "None": lambda: None,
    "True": lambda: True,
    "integer": lambda: 3,
    "big integer": lambda: 2**70,
    "float": lambda: 0.1,
    "whole float": lambda: 2.0,
    "huge float": lambda: 1e300,
    "tiny float": lambda: 5e-324,
    "NaN": lambda: math.nan,
    "infinity": lambda: math.inf,
    "str": lambda: "text",
    "str of many kinds": lambda: 'é ☃ 😀 " \\ / \n \u0000 \u2028 </script>',
    "str with a lone surrogate": lambda: "\ud800",
    "empty str": lambda: "",
    "bytes": lambda: b"abc",
    "long bytes": lambda: bytes(range(100)),
    "bytearray": lambda: bytearray(b"abc"),
    "memoryview": lambda: memoryview(b"abc"),
    "empty list": lambda: [],
    "list": lambda: [1, 2.5, "x", None, True],
    "list with NaN": lambda: [1.0, math.nan, -math.inf],
    "list of lists": lambda: [[1, 2], [3]],
    "list of dicts": lambda: [{"b": 1, "a": 2}, {}],
    "list of bytes": lambda: [b"abc"],
    "list of dates": lambda: [dt.date(2024, 1, 2), dt.datetime(2024, 1, 2, 3, 4, 5, 6), dt.time(1, 2)],
    "list of tuples": lambda: [(1, "a"), (2, "b")],
    "tuple": lambda: (1, 2),
    "empty dict": lambda: {},
    "dict": lambda: {"z": 1, "a": [1.5], "m": {"k": None}},
    "dict with NaN": lambda: {"a": math.nan},
    "dict with integer keys": lambda: {1: "a", 2: "b"},
    "dict with other keys": lambda: {None: 1, True: 2, 1.5: 3},
    "dict with tuple keys": lambda: {(1, 2): 1},
    "dict with numpy keys": lambda: {np.int64(1): 1},
    "dict with float NaN key": lambda: {math.nan: 1},
    "dict with clashing keys": lambda: {1: "a", "1": "b"},
    "dict named predictions": lambda: {"predictions": [1]},
    "date": lambda: dt.date(2024, 1, 2),
    "datetime": lambda: dt.datetime(2024, 1, 2, 3, 4, 5),
    "datetime with zone": lambda: dt.datetime(2024, 1, 2, tzinfo=dt.timezone(dt.timedelta(hours=2))),
    "time": lambda: dt.time(1, 2, 3),
    "timedelta": lambda: dt.timedelta(seconds=1),
    "pandas timedelta": lambda: pd.Timedelta(1, "s"),
    "pydantic model": lambda: Point(x=1.5, when=dt.datetime(2024, 1, 2)),
    "list of pydantic models": lambda: [Point(x=1), Point(x=2, inner={"a": 1})],
    "dict of pydantic models": lambda: {"p": Point(x=1)},
    "decimal": lambda: decimal.Decimal("1.5"),
    "list of decimals": lambda: [decimal.Decimal("1.5")],
    "set": lambda: {1},
    "frozenset": lambda: frozenset([1]),
    "complex": lambda: 1 + 2j,
    "uuid": lambda: uuid.UUID(int=1),
    "range": lambda: range(3),
    "generator": lambda: (i for i in range(3)),
    "iterator": lambda: iter([1]),
    "dict keys": lambda: {"a": 1}.keys(),
    "object": lambda: object(),
    "function": lambda: print,
    "class": lambda: Point,
    "exception": lambda: ValueError("x"),
    "deep list": lambda: _deep(60),
    "loop": lambda: _loop(),
}

RAISED = {
    "raise ValueError": lambda: _raise(ValueError("no")),
    "raise KeyError": lambda: _raise(KeyError("k")),
    "raise ZeroDivisionError": lambda: 1 / 0,
    "raise MemoryError": lambda: _raise(MemoryError("much")),
    "raise NotImplementedError": lambda: _raise(NotImplementedError()),
    "raise RecursionError": lambda: _raise(RecursionError("deep")),
    "raise UnicodeError": lambda: _raise(UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad")),
    "raise TimeoutError": lambda: _raise(TimeoutError("slow")),
    "raise StopIteration": lambda: _raise(StopIteration()),
    "raise AssertionError": lambda: _raise(AssertionError()),
    **{
        f"raise MlflowException {code}": (lambda code=code: _mlflow_error(code))
        for code in [
            "INTERNAL_ERROR",
            "TEMPORARILY_UNAVAILABLE",
            "IO_ERROR",
            "BAD_REQUEST",
            "INVALID_PARAMETER_VALUE",
            "ENDPOINT_NOT_FOUND",
            "MALFORMED_REQUEST",
            "INVALID_STATE",
            "PERMISSION_DENIED",
            "FEATURE_DISABLED",
            "CUSTOMER_UNAUTHORIZED",
            "REQUEST_LIMIT_EXCEEDED",
            "RESOURCE_CONFLICT",
            "UNAUTHENTICATED",
            "RESOURCE_DOES_NOT_EXIST",
            "RESOURCE_ALREADY_EXISTS",
            "RESOURCE_EXHAUSTED",
            "RESOURCE_LIMIT_EXCEEDED",
            "NOT_FOUND",
            "ABORTED",
            "ALREADY_EXISTS",
            "DEADLINE_EXCEEDED",
            "NOT_IMPLEMENTED",
            "DATA_LOSS",
            "INVALID_STATE_TRANSITION",
        ]
    },
}

CASES = {**FRAMES, **ARRAYS, **PLAIN, **RAISED}


def _deep(depth):
    value: list[object] = []
    for _ in range(depth):
        value = [value]
    return value


def _loop():
    value: list[object] = []
    value.append(value)
    return value


class Answers:
    def predict(self, model_input):
        return CASES[model_input["case"].iloc[0]]()


def _load_pyfunc(path):
    return Answers()
