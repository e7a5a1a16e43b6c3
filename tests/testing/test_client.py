"""`penstock.testing.client`: the real application in process, with real models and with fakes."""

from __future__ import annotations

import asyncio
import json
import re
import threading
import warnings
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

import penstock
from penstock import testing
from penstock.cli.serve import serve
from penstock.errors import (
    Closing,
    CodeNotTrusted,
    ConfigError,
    GatewayDenied,
    GatewayTimeout,
    MalformedInput,
    ModelUnknown,
    RegistryNotFound,
    RequestRefused,
)
from penstock.testing import GatewayClient


def plain(answer: Any) -> Any:
    if isinstance(answer, penstock.Tensors):
        answer = answer.mapping() if answer.names else answer.arrays[0]
    if isinstance(answer, dict):
        return {name: plain(part) for name, part in answer.items()}
    return answer.tolist() if isinstance(answer, np.ndarray) else answer


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
    ("data", "answer"),
    [
        (pd.DataFrame({"a": [1.0], "b": [10.0]}), [22.0]),
        ([{"a": 1, "b": 10}], [22.0]),
        ({"a": 1, "b": 10}, 22.0),
        ({"a": [1], "b": [10]}, [22.0]),
        ({"a": np.array([1.0]), "b": np.array([10.0])}, [22.0]),
        (penstock.Table(("a", "b"), block=np.array([[1.0, 10.0]])), [22.0]),
    ],
)
def test_what_predict_takes_in_python_it_takes_here(python_package: Path, data: object, answer: Any) -> None:
    with testing.client(python_package, trust_code=True, isolation="none") as gateway:
        assert plain(gateway.predict(data)) == answer
        assert plain(gateway.predict(data, {"offset": 1.0}, model="adder")) == np.add(answer, 1.0).tolist()


def test_arrays_keep_what_is_not_finite(identity_onnx_package: Path) -> None:
    with testing.client(identity_onnx_package, nan_words=True) as gateway:
        row = [float("inf"), 1.0, 2.0]
        assert plain(gateway.predict(np.array([row]))) == {"y": [row]}
        assert plain(gateway.predict(penstock.Tensors.single(np.array([row])))) == {"y": [row]}


def test_an_error_is_an_answer_of_post_and_fails_predict(identity_onnx_package: Path) -> None:
    with testing.client(f"m={identity_onnx_package}") as gateway:
        assert gateway.post("/invocations", body=b"{", headers={"Content-Type": "application/json"}).status == 400
        with pytest.raises(ModelUnknown, match="no model with that name"):
            gateway.predict([[1.0]], model="x")


def test_settings_are_those_of_a_server(identity_onnx_package: Path) -> None:
    with testing.client(identity_onnx_package, api_token="secret", max_body_bytes=1024) as gateway:
        assert gateway.post("/invocations", json={"inputs": [[1.0, 2.0, 3.0]]}).status == 401
        allowed = {"Authorization": "Bearer secret"}
        assert plain(gateway.predict(np.ones((1, 3)))) == {"y": [[1.0] * 3]}, "predict shows the token"
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


def test_what_is_found_nowhere_is_said_to_be_nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    said = "There is no registry at .*; nor is there a directory m4"
    with pytest.raises(RegistryNotFound, match=said), testing.client("m4"):
        pass
    served = CliRunner().invoke(serve, ["m4", "--port", "0"])
    assert isinstance(served.exception, RegistryNotFound)
    assert re.search(said, served.exception.message)


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
        assert plain(gateway.predict(np.ones((1, 3)), model="identity")) == {"y": [[1.0, 1.0, 1.0]]}
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


FRAME = pd.DataFrame({"a": [1.0, 2.0], "b": [10.0, 20.0]}, index=["x", "y"])


def test_it_answers_and_raises_as_the_client_of_a_server_does() -> None:
    """So that what calls a gateway is tested with it."""

    def both(data: Any, params: Any) -> Any:
        return pd.DataFrame({"sum": data["a"] + data["b"], "sign": "plus"})

    inputs = [{"type": "double", "name": "a"}, {"type": "double", "name": "b"}]
    fake = testing.FakeModel(both, penstock.Signature.from_mlflow({"inputs": json.dumps(inputs)}))
    with testing.client(fakes={"both": fake}) as gateway:
        found = gateway.predict(FRAME)
        pd.testing.assert_frame_equal(
            found, pd.DataFrame({"sum": [11.0, 22.0], "sign": ["plus"] * 2}, index=FRAME.index), check_dtype=False
        )
        assert gateway.predict({"a": 1, "b": 2}) == {"sum": 3.0, "sign": "plus"}
        with pytest.raises(RequestRefused) as refused:
            gateway.predict([{"a": "much", "b": 1.0}])
        assert [(v.row, v.column) for v in refused.value.violations] == [(0, "a")]
        made = gateway.prediction(FRAME, model="both", request_id="order-17")
        assert (made.model, made.version, made.request_id) == ("both", "1", "order-17")
        assert [model.name for model in gateway.models()] == ["both"]
        assert gateway.health().ready


def test_a_slow_model_is_a_timeout_as_the_settings_say() -> None:
    held = threading.Event()
    with testing.client(fakes={"slow": lambda data, params: [held.wait(10)] * len(data)}, timeout=0.2) as gateway:
        with pytest.raises(GatewayTimeout):
            gateway.predict([{"a": 1.0}])
        held.set()


def test_a_body_may_be_text(identity_onnx_package: Path) -> None:
    sent = {"Content-Type": "application/json"}
    with testing.client(identity_onnx_package) as gateway:
        answer = gateway.post("/invocations", body='{"inputs": [[1.0, 2.0, 3.0]]}', headers=sent)
        assert (answer.status, answer.json()) == (200, {"predictions": {"y": [[1.0, 2.0, 3.0]]}})
        with pytest.raises(MalformedInput, match="body must be bytes or text, not"):
            gateway.post("/invocations", body={"inputs": [[1.0]]}, headers=sent)  # type: ignore[arg-type]


def test_starlettes_test_client_and_httpx_take_the_application(identity_onnx_package: Path) -> None:
    """On event loops of their own, and also where they ask it to start."""
    with testing.client(identity_onnx_package, api_token="secret") as gateway:
        app: Any = gateway.app
        rows = {"inputs": [[1.0, 2.0, 3.0]]}
        allowed = {"Authorization": "Bearer secret"}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the test client is changing its own library
            from starlette.testclient import TestClient

            with TestClient(app) as client:
                assert client.get("/ping", headers=allowed).status_code == 200
                assert client.post("/invocations", json=rows).status_code == 401
                assert client.post("/invocations", json=rows, headers=allowed).json() == {
                    "predictions": {"y": rows["inputs"]}
                }

        async def ask() -> list[int]:
            transport = httpx.ASGITransport(app)
            async with httpx.AsyncClient(transport=transport, base_url="http://gateway", headers=allowed) as asked:
                answers = await asyncio.gather(*(asked.post("/invocations", json=rows) for _ in range(20)))
            return [answer.status_code for answer in answers]

        assert asyncio.run(ask()) == [200] * 20
        with pytest.raises(GatewayDenied):
            GatewayClient(gateway._inner, gateway.gateway, gateway._loop).predict([[1.0, 2.0, 3.0]])
