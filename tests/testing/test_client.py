"""`penstock.testing.client`: the real application in process, with real models and with fakes."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import penstock
from penstock import testing
from penstock.errors import Closing, CodeNotTrusted, ConfigError

ROWS = {"dataframe_records": [{"a": 1.0, "b": 10.0}]}


def test_a_package_answers_as_it_would_over_http(python_package: Path) -> None:
    with testing.client(python_package, trust_code=True, isolation="none") as gateway:
        answer = gateway.post("/invocations", json={**ROWS, "params": {"offset": 1.0}})
        assert (answer.status, answer.json()) == (200, {"predictions": [23.0]})
        assert answer.headers["x-model-name"] == "adder"
        assert gateway.get("/models").json()
        assert gateway.get("/readyz").status == 200
        assert "adder" in repr(gateway)


@pytest.mark.parametrize(
    "data",
    [
        pd.DataFrame({"a": [1.0], "b": [10.0]}),
        [{"a": 1, "b": 10}],
        {"a": 1, "b": 10},
        {"a": [1], "b": [10]},
        {"a": np.array([1.0]), "b": np.array([10.0])},
        penstock.Table(("a", "b"), block=np.array([[1.0, 10.0]])),
    ],
)
def test_what_predict_takes_in_python_it_takes_here(python_package: Path, data: object) -> None:
    with testing.client(python_package, trust_code=True, isolation="none") as gateway:
        assert gateway.predict(data) == [22.0]
        assert gateway.predict(data, {"offset": 1.0}, model="adder") == [23.0]


def test_arrays_keep_what_is_not_finite(identity_onnx_package: Path) -> None:
    with testing.client(identity_onnx_package, nan_words=True) as gateway:
        row = [float("inf"), 1.0, 2.0]
        assert gateway.predict(np.array([row])) == {"y": [row]}
        assert gateway.predict(penstock.Tensors.single(np.array([row]))) == {"y": [row]}


def test_an_error_is_an_answer_of_post_and_fails_predict(identity_onnx_package: Path) -> None:
    with testing.client(f"m={identity_onnx_package}") as gateway:
        assert gateway.post("/invocations", body=b"{", headers={"Content-Type": "application/json"}).status == 400
        with pytest.raises(AssertionError, match="POST /models/x/invocations answered 404"):
            gateway.predict([[1.0]], model="x")


def test_settings_are_those_of_a_server(identity_onnx_package: Path) -> None:
    with testing.client(identity_onnx_package, api_token="secret", max_body_bytes=1024) as gateway:
        assert gateway.post("/invocations", json={"inputs": [[1.0, 2.0, 3.0]]}).status == 401
        allowed = {"Authorization": "Bearer secret"}
        assert gateway.post("/invocations", json={"inputs": [[1.0, 2.0, 3.0]]}, headers=allowed).status == 200
        assert gateway.post("/invocations", json={"inputs": [[1.0] * 2000]}, headers=allowed).status == 413


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"no_setting": 1}, r"There is no setting no_setting\."),
        ({"timeout": -1}, r"The setting timeout \(argument\) cannot be -1"),
        ({"workers": 2, "admin_port": 1}, r"A test gateway has no admin_port, workers: it opens no socket"),
        ({"host": "0.0.0.0"}, "has no host"),
        ({"fakes": {"identity": len}}, "Two models would have the served name 'identity'"),
        ({"fakes": {"x": 3}}, "The fake 'x' must be a FakeModel or a function, not 3"),
        ({"fakes": [len]}, "fakes must be a mapping"),
    ],
)
def test_what_a_test_gateway_cannot_be_is_refused_by_name(
    identity_onnx_package: Path, settings: dict[str, Any], said: str
) -> None:
    with pytest.raises(ConfigError, match=said), testing.client(identity_onnx_package, **settings):
        pass


def test_a_gateway_without_models_is_refused() -> None:
    with pytest.raises(ConfigError, match="no models to serve"), testing.client():
        pass
    with pytest.raises(ConfigError, match="MODEL is a path, URL or name, not None"), testing.client(None):  # type: ignore[arg-type]
        pass


def test_a_fake_may_be_the_default_model(identity_onnx_package: Path) -> None:
    with testing.client(identity_onnx_package, fakes={"one": lambda *_: [1.0]}, default_model="one") as gateway:
        assert gateway.predict([{"a": 1.0}]) == [1.0]


def test_nothing_is_answered_after_the_with_statement() -> None:
    with testing.client(fakes={"half": lambda data, params: [0.5] * len(data)}) as gateway:
        assert gateway.predict([{"a": 1.0}]) == [0.5], "a function is a fake without a signature"
    for ask in (lambda: gateway.get("/readyz"), lambda: gateway.predict([{"a": 1.0}])):
        with pytest.raises(Closing, match="The test gateway is closed"):
            ask()


def test_a_fake_answers_by_its_function_and_checks_its_signature() -> None:
    signature = penstock.Signature.from_mlflow({"inputs": '[{"type": "double", "name": "amount"}]'})
    fake = testing.FakeModel(lambda frame, params: (frame["amount"] > 100).tolist(), signature)
    with testing.client(fakes={"fraud": fake}) as gateway:
        assert gateway.predict([{"amount": 120.0}, {"amount": 3.0}]) == [True, False]
        refused = gateway.post("/models/fraud/invocations", json={"dataframe_records": [{"amount": "much"}]})
        assert refused.status == 400
        assert "row 0, column 'amount'" in refused.json()["message"]


def test_a_fake_is_served_beside_a_package(identity_onnx_package: Path) -> None:
    def fails(data: object, params: object) -> object:
        raise RuntimeError("the lights went out")

    with testing.client(identity_onnx_package, fakes={"broken": testing.FakeModel(fails)}) as gateway:
        assert gateway.predict(np.ones((1, 3)), model="identity") == {"y": [[1.0, 1.0, 1.0]]}
        assert "the lights went out" in gateway.post("/models/broken/invocations", json={"inputs": [1.0]}).text
        assert gateway.post("/invocations", json={"inputs": [1.0]}).status == 404, "two models, and none is the default"


def test_a_fake_predictor_remembers_its_calls() -> None:
    predictor = testing.FakePredictor(lambda data, params: [1.0] * len(data), joinable=True)
    answer = predictor.predict(penstock.Tensors.single(np.ones((2, 1))), None)
    assert isinstance(answer, penstock.Tensors)
    assert [call.shape for call in predictor.calls] == [(2, 1)]
    assert repr(predictor) == "<FakePredictor, 1 calls>"


def test_what_cannot_be_loaded_leaves_no_thread(python_package: Path, iris_package: Path) -> None:
    before = threading.active_count()
    with pytest.raises(CodeNotTrusted), testing.client(python_package):
        pass
    with pytest.raises(ConfigError, match="served name"), testing.client(f"m={python_package}", f"m={iris_package}"):
        pass
    assert not [thread for thread in threading.enumerate() if thread.name == "penstock-testing"]
    assert threading.active_count() <= before + 1, "at most the thread that a model library keeps"
