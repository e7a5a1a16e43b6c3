"""docs/field-reports.md: public reports about other servers and libraries, each tried on a gateway. A try's name is the
report's repository and number.
"""

from __future__ import annotations

import asyncio
import gc
import json
import re
import sys
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pandas as pd
import pytest
from onnx import TensorProto, helper, numpy_helper

from penstock import testing
from penstock.package.save import save_model
from penstock.signature import Signature

PAGE = Path(__file__).parent.parent / "docs" / "field-reports.md"
JSON, CSV = "application/json", "text/csv"


def columns(*fields: tuple[str, Any], params: list[dict[str, Any]] | None = None) -> Signature:
    named = {"inputs": json.dumps([{"type": kind, "name": name} for kind, name in fields])}
    return Signature.from_mlflow({**named, "params": json.dumps(params)} if params else named)


def tensor(dtype: str, *shape: int) -> Signature:
    field = {"type": "tensor", "tensor-spec": {"dtype": dtype, "shape": list(shape)}}
    return Signature.from_mlflow({"inputs": json.dumps([field])})


def split(names: list[Any], *rows: list[Any]) -> dict[str, Any]:
    return {"dataframe_split": {"columns": names, "data": rows}}


def got(data: Any, params: Any) -> list[str]:
    """What reached the model: of a frame its columns' types and cells, else the array."""
    if isinstance(data, pd.DataFrame):
        return [f"{n}: {data[n].dtype} {data[n].tolist()}" for n in data.columns]
    return [f"{data.dtype} {data.tolist()}"]


def answers(value: Any) -> Callable[[Any, Any], Any]:
    return lambda data, params: value


def raises(error: BaseException) -> Callable[[Any, Any], Any]:
    def fail(data: Any, params: Any) -> Any:
        raise error

    return fail


def adds_in_place(data: Any, params: Any) -> Any:
    data += 1
    return data


@dataclass(frozen=True)
class Try:
    """A request (`sent`: JSON, or CSV where it is bytes), and the predictions, or what the refusal says."""

    report: str
    sent: Any
    expected: Any
    signature: Signature | None = None
    model: Callable[[Any, Any], Any] = got
    status: int = 200

    @property
    def name(self) -> str:
        return self.report.replace(" ", "-")


ONE = {"inputs": [1]}
DOUBLES = columns(("double", "a"), ("double", "b"))
DATES = {"days": pd.to_datetime(["2023-09-29T02:55:54.123"])}


TRIES = [
    Try("mlflow 5525", b"x\n1\n-1\n", ["x: int32 [1, -1]"], columns(("integer", "x"))),
    Try("mlflow 5525 json", split(["x"], [1], [-1]), ["x: int32 [1, -1]"], columns(("integer", "x"))),
    Try("mlflow 3713", split(["created_at"], ["2020-01-01"]), ["created_at: str ['2020-01-01']"]),
    Try("mlflow 3996", split(["b"], ["maybe"]), "row 0, column 'b'", columns(("boolean", "b")), status=400),
    Try(
        "mlflow 26069",
        split([2, 0, 1], [2, 0, 1]),
        ["2: int64 [2]", "0: int64 [0]", "1: int64 [1]"],
        columns(("long", 2), ("long", 0), ("long", 1)),
    ),
    Try("mlflow 4897", {"dataframe_split": 1}, "must be an object with 'data'", columns(("long", "x")), status=400),
    Try("mlflow 6783", split(["t"], [None]), "a missing value cannot be long", columns(("long", "t")), status=400),
    Try("mlflow 9680", {"inputs": [[1.5, 2]]}, ["float32 [[1.5, 2.0]]"], tensor("float32", -1, 2)),
    Try(
        "mlflow 8563",
        {**split(["a"], [1]), "params": {"k": [6.5]}},
        "param 'k': 6.5 is not long",
        columns(("long", "a"), params=[{"name": "k", "type": "long", "default": [8], "shape": [-1]}]),
        status=400,
    ),
    Try("mlserver 1154", ONE, [None, None, 1.0], model=answers(np.array([np.nan, np.inf, 1.0]))),
    Try("mlserver 1747", ONE, [{"t": "a"}, {"t": None}], model=answers(pd.DataFrame({"t": ["a", np.nan]}))),
    Try("mlserver 484", ONE, ["gęś", "日本", "\U0001f600"], model=answers(["gęś", "日本", "\U0001f600"])),
    Try("mlserver 288", ONE, ["//4=\n"], model=answers([b"\xff\xfe"])),
    Try("mlserver 1542", split(["t"], [["a", "b"]]), ["t: object [['a', 'b']]"]),
    Try("mlserver 2197", ONE, [4.0], model=answers(np.array([4.0]))),
    Try("mlserver 1625", {"inputs": {"a": [[1.0]], "b": [[3.0]]}}, "[1.0] is not a number", DOUBLES, status=400),
    Try("mlserver 504", split(["i"], [1]), ["i: int32 [1]"], columns(("integer", "i"))),
    Try("bentoml 867", split(["a"], [1], [None]), ["a: float64 [1.0, nan]"]),
    Try("bentoml 3263", split(["z", "b", "a"], [9, 2, 1]), ["a: float64 [1.0]", "b: float64 [2.0]"], DOUBLES),
    Try("bentoml 4633", ONE, [{"s": 1}], model=answers(pd.Series([1], name="s"))),
    Try("bentoml 2219", ONE, [{"0": 1}], model=answers(pd.DataFrame([[1]]))),
    Try("bentoml 4489", ONE, "holds a DataFrame inside", model=answers({"df": pd.DataFrame()}), status=500),
    Try("bentoml 5168", {"inputs": [[1, 2, 3], [4]]}, "row 1: its lists have other lengths", status=400),
    Try("ray 51598", ONE, "The model failed: StopAsyncIteration", model=raises(StopAsyncIteration("x")), status=400),
    Try("ray 51598 stop", ONE, "The model failed: StopIteration", model=raises(StopIteration("x")), status=400),
    Try(
        "ray 51598 cancel", ONE, "The model failed: CancelledError.", model=raises(asyncio.CancelledError()), status=400
    ),
    Try("ray 9441", {"inputs": [[1.0, 2.0]]}, [[2.0, 3.0]], model=adds_in_place),
    Try("ray 9441 frame", split(["a", "b"], [1, 2]), [{"a": 2.0, "b": 3.0}], DOUBLES, adds_in_place),
    Try("pandas 20608", split(["id"], ["10000000000000001"], ["9"]), ["id: str ['10000000000000001', '9']"]),
    Try("pandas 63572", split(["n"], [10**24]), [f"n: object [{10**24}]"]),
    Try("pandas 63572 long", split(["n"], [10**24]), "is out of range for long", columns(("long", "n")), status=400),
    Try("pandas 42471", split(["a"], ["01"]), ["a: str ['01']"]),
    Try("pandas 41408", split(["a"], ["18_19"]), ["a: str ['18_19']"]),
    Try("pandas 41408 csv", b"a\n18_19\n", "'18_19' is not a whole number", columns(("long", "a")), status=400),
    Try("pandas 25435", split(["1.", "test_time"], [1, 2]), ["1.: int64 [1]", "test_time: int64 [2]"]),
    Try("pandas 14124", b"A,B\n1,4,\n2,5,\n", "Row 0 of the CSV has 3 cells, but the header has 2", status=400),
    Try("pandas 9295", b"A,B\n0,5\n0,6,\n", "Row 1 of the CSV has 3 cells, but the header has 2", status=400),
    Try("pandas 7160", b"a,b,a\n0,1,2\n", ["a: int64 [0]", "b: int64 [1]", "a.1: int64 [2]"]),
    Try("pandas 7160 json", split(["a", "b", "a"], [0, 1, 2]), "duplicate columns: 'a'", DOUBLES, status=400),
    Try("pandas 34120", b"a,b\nTrue,1\n,\n", ["a: float64 [1.0, nan]", "b: float64 [1.0, nan]"], DOUBLES),
    Try("pandas 52505", b"n\n9007199254740993\n", ["n: int64 [9007199254740993]"], columns(("long", "n"))),
    Try("pandas 31131", b"b,d\nTrue,1\nNA,2\n", ["b: object [True, nan]"], columns(("boolean", "b"))),
    Try("pandas 10577", b"a,b\n", ["a: int64 []", "b: bool []"], columns(("long", "a"), ("boolean", "b"))),
    Try(
        "pandas 53686",
        ONE,
        [{"days": "2023-09-29T02:55:54.123000"}],
        model=answers(pd.DataFrame(DATES).astype("datetime64[ms]")),
    ),
    Try(
        "pandas 46052",
        ONE,
        [{"days": "2023-09-29T02:55:54.123000"}],
        model=answers(pd.DataFrame(DATES)),
    ),
]


@pytest.fixture(scope="module")
def gateway() -> Iterator[testing.GatewayClient]:
    with testing.client(fakes={t.name: testing.FakeModel(t.model, t.signature) for t in TRIES}) as made:
        yield made


@pytest.mark.parametrize("case", TRIES, ids=lambda case: case.name)
def test_one_request_is_answered_as_the_page_says(gateway: testing.GatewayClient, case: Try) -> None:
    body, kind = (case.sent, CSV) if isinstance(case.sent, bytes) else (json.dumps(case.sent).encode(), JSON)
    answer = gateway.post(f"/models/{case.name}/invocations", body=body, headers={"Content-Type": kind})
    assert answer.status == case.status, answer.text
    found = answer.json()
    if case.status == 200:
        assert found["predictions"] == case.expected
    else:
        assert case.expected in found["message"]
        assert "Traceback" not in answer.text


# ONNX graphs

FLOAT = TensorProto.FLOAT


def graph(
    operator: str, given: int, made: Any, shape: tuple[Any, ...] = ("n",), weights: tuple[Any, ...] = (), **how: Any
) -> Any:
    domain = how.get("domain", "")
    return helper.make_model(
        helper.make_graph(
            [helper.make_node(operator, ["x", *(w.name for w in weights)], ["y"], **how)],
            "g",
            [helper.make_tensor_value_info("x", given, shape)],
            [helper.make_tensor_value_info("y", made, shape) if isinstance(made, int) else made],
            weights,
        ),
        opset_imports=[helper.make_opsetid("", 17)] + [helper.make_opsetid(domain, 3)] * bool(domain),
        ir_version=8,
    )


def identity(kind: int, *shape: Any) -> Any:
    return graph("Identity", kind, kind, shape or ("n",))


def zip_map() -> Any:
    maps = helper.make_map_type_proto(TensorProto.STRING, helper.make_tensor_type_proto(FLOAT, []))
    made = helper.make_value_info("y", helper.make_sequence_type_proto(maps))
    labels = ["a", "ü"]
    return graph("ZipMap", FLOAT, made, ("n", 2), domain="ai.onnx.ml", classlabels_strings=labels)


@pytest.mark.parametrize(
    ("made", "example", "sent", "expected"),
    [
        pytest.param(
            identity(TensorProto.FLOAT16),
            np.array([1], dtype=np.float16),
            [0.1],
            [0.0999755859375],
            id="onnxruntime-3890",
        ),
        pytest.param(
            identity(TensorProto.FLOAT16),
            np.array([1], dtype=np.float16),
            [70000.0],
            "out of range",
            id="onnxruntime-4999",
        ),
        pytest.param(
            zip_map(),
            np.array([[0.5, 0.5]], dtype=np.float32),
            [[0.25, 0.75]],
            [{"a": 0.25, "ü": 0.75}],
            id="mlflow-2499",
        ),
        pytest.param(identity(TensorProto.BOOL), np.array([True]), [True, 0], [True, False], id="onnxruntime-bool"),
        pytest.param(
            identity(TensorProto.STRING),
            np.array(["a"], dtype=object),
            ["a\0b", "\U0001f600"],
            ["a\0b", "\U0001f600"],
            id="onnxruntime-2284",
        ),
        pytest.param(
            identity(FLOAT, "n", 2),
            np.array([[1, 2]], dtype=np.float32),
            [],
            "the input has no rows",
            id="onnxruntime-1879",
        ),
        pytest.param(
            identity(FLOAT, "n", 1, 2), np.ones((1, 1, 2), np.float32), [[[1, 2]]], [[[1.0, 2.0]]], id="mlflow-3229"
        ),
        pytest.param(
            graph("Cast", FLOAT, TensorProto.UINT8, to=TensorProto.UINT8),
            np.array([1], dtype=np.float32),
            [255, 2],
            [255, 2],
            id="onnxruntime-1798",
        ),
    ],
)
def test_one_graph_answers_as_the_page_says(tmp_path: Path, made: Any, example: Any, sent: Any, expected: Any) -> None:
    save_model(made, tmp_path / "m", example=example)
    with testing.client(tmp_path / "m") as gateway:
        answer = gateway.post("/invocations", json={"inputs": sent})
    if isinstance(expected, str):
        assert (answer.status, expected in answer.json()["message"]) == (400, True)
    else:
        assert answer.json() == {"predictions": {"y": expected}}


def test_onnxruntime_6696_weights_beside_a_graph_are_found_from_any_directory(tmp_path: Path) -> None:
    weights = numpy_helper.from_array(np.arange(4, dtype=np.float32), "w")
    place = tmp_path / "elsewhere"
    place.mkdir()
    made = graph("Add", FLOAT, FLOAT, ("n", 4), (weights,))
    onnx.save_model(made, place / "net.onnx", save_as_external_data=True, location="net.data", size_threshold=0)
    save_model(place / "net.onnx", tmp_path / "m", example=np.ones((1, 4), np.float32))
    with testing.client(tmp_path / "m") as gateway:
        assert gateway.predict(np.ones((1, 4)))["y"].tolist() == [[1.0, 2.0, 3.0, 4.0]]


# many requests

SOURCE = """
import time

ROWS_OF_BATCHES = []

def predict(inputs, params):
    ROWS_OF_BATCHES.append(len(inputs))
    time.sleep(params["seconds"])
    if (inputs["a"] == 13).any():
        raise ValueError("unlucky")
    return (inputs["a"] * params["k"]).tolist()
"""


@pytest.fixture(scope="module")
def busy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[testing.GatewayClient]:
    """A model whose requests are batched, up to 8 rows in one; it takes as long as `seconds` says."""
    place = tmp_path_factory.mktemp("busy")
    (place / "busy.py").write_text(SOURCE)
    example = pd.DataFrame({"a": [1.0, 2.0, 3.0]})
    params = {"k": 1.0, "seconds": 0.0}
    package = save_model(place / "busy.py", place / "m", example=example, params=params, batchable=True).path
    with testing.client(package, trust_code=True, isolation="none", max_rows=8) as made:
        assert made.get("/models/m").json()["versions"][0]["batched"]
        yield made


def ask(gateway: testing.GatewayClient, bodies: list[Any], **headers: str) -> list[Any]:
    with ThreadPoolExecutor(len(bodies)) as pool:
        return list(pool.map(lambda body: gateway.post("/invocations", json=body, headers=headers), bodies))


def rows(*cells: float, **params: float) -> dict[str, Any]:
    return {"dataframe_records": [{"a": cell} for cell in cells], "params": {"seconds": 0.005, **params}}


def test_mlserver_1306_and_bentoml_3859_each_caller_gets_its_rows_of_batches_that_keep_their_limit(busy: Any) -> None:
    found = ask(busy, [rows(n + 100, n + 200) for n in range(12)])
    assert [answer.json()["predictions"] for answer in found] == [[n + 100.0, n + 200.0] for n in range(12)]
    assert len(busy.post("/invocations", json=rows(*range(100, 150))).json()["predictions"]) == 50
    assert (
        max(
            size
            for module in list(sys.modules.values())
            for size in getattr(module, "__dict__", {}).get("ROWS_OF_BATCHES", ())
        )
        == 8
    )


def test_mlserver_1541_params_of_one_request_are_not_those_of_another(busy: Any) -> None:
    found = ask(busy, [rows(10, k=float(n % 3)) for n in range(9)])
    assert [answer.json()["predictions"] for answer in found] == [[10.0 * (n % 3)] for n in range(9)]


def test_bentoml_918_a_bad_row_fails_its_request_alone(busy: Any) -> None:
    assert [answer.status for answer in ask(busy, [rows(n) for n in range(10, 16)])] == [200] * 3 + [400] + [200] * 2


def test_ray_41057_and_bentoml_4789_late_requests_are_given_up_and_the_next_ones_answered(busy: Any) -> None:
    late = ask(busy, [rows(n, seconds=0.2) for n in range(4)], **{"X-Request-Timeout": "0.05"})
    assert [answer.status for answer in late] == [504] * 4
    assert [answer.status for answer in ask(busy, [rows(n) for n in range(4)])] == [200] * 4


def test_ray_50046_a_client_that_leaves_takes_nobody_along(busy: Any) -> None:
    async def leaves() -> None:
        """Sends a request, and is gone while the model works on it."""
        messages = [{"type": "http.request", "body": json.dumps(rows(1, seconds=0.1)).encode(), "more_body": False}]

        async def receive() -> dict[str, Any]:
            if messages:
                return messages.pop()
            await asyncio.sleep(0)
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None: ...

        head = {"type": "http", "method": "POST", "path": "/invocations", "raw_path": b"/invocations"}
        more = {"query_string": b"", "headers": [(b"content-type", b"application/json")], "client": ("127.0.0.1", 1)}
        await busy.app({**head, **more, "http_version": "1.1", "scheme": "http", "root_path": ""}, receive, send)

    with ThreadPoolExecutor(1) as pool:
        gone = pool.submit(busy._run, leaves(), 5)
        assert [answer.status for answer in ask(busy, [rows(n) for n in range(6)])] == [200] * 6
        gone.result(5)


def test_ray_38089_and_bentoml_4760_requests_leave_nothing_behind(busy: Any) -> None:
    def objects_after(times: int) -> int:
        for _ in range(times):
            assert busy.post("/invocations", json=rows(1, 2, 3, seconds=0.0)).status == 200
        gc.collect()
        # pandas keeps up to 500 references to columns that are gone.
        return sum(type(thing) is not weakref.ref for thing in gc.get_objects())

    before = objects_after(20)  # what is made once is made
    assert objects_after(20) - before < 20


def test_every_try_is_on_the_page_and_no_report_is_there_twice() -> None:
    links = re.findall(r"https://github\.com/[\w-]+/([\w-]+)/(?:issues|pull)/(\d+)", PAGE.read_text())
    assert len(links) == len(set(links))
    assert len(links) >= 60
    listed = {f"{repository.lower()}-{number}" for repository, number in links}
    assert {"-".join(case.name.split("-")[:2]) for case in TRIES} <= listed
