"""What a request holds that means nothing: ignored as MLflow ignores it, and said; refused by a strict model."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pandas as pd
import pytest

from penstock.loading import LoadOptions, load_path
from penstock.metrics import Metrics
from penstock.server.app import make_app
from penstock.server.predict.ignored import IgnoredLog, told
from penstock.serving.gateway import Gateway
from penstock.serving.servable import Servable, ServingOptions
from penstock.serving.served_model import ServedModel

ROWS = {"dataframe_split": {"columns": ["a", "b"], "data": [[1.0, 2.0]]}}
PLAIN = {"predictions": [6.0]}


@pytest.fixture
async def client(python_package: Path) -> AsyncIterator[httpx.AsyncClient]:
    metrics = Metrics(process=False)
    models = []
    for name, strict in {"adder": False, "strict": True}.items():
        model = ServedModel(name, metrics)
        loaded = load_path(python_package, LoadOptions(trust_code=True))
        model.swap(Servable(name, "1", loaded, metrics, ServingOptions(strict_params=strict)))
        models.append(model)
    gateway = Gateway(models, metrics, default="adder")
    async with httpx.AsyncClient(transport=httpx.ASGITransport(make_app(gateway)), base_url="http://test") as http:
        yield http
    await gateway.close()


async def test_a_misspelt_param_is_ignored_and_said(
    client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, logger="penstock.server"):
        for _ in range(3):
            answer = await client.post("/invocations", json={**ROWS, "params": {"ofset": 5.0}})
            assert (answer.status_code, answer.json()) == (200, PLAIN)
            assert answer.headers["x-request-warning"] == "ignored: param 'ofset' (nearest: 'offset')"
    (line,) = [m for m in caplog.messages if "ignored" in m]
    assert line == "A request to adder holds what means nothing, and is ignored: param 'ofset' (nearest: 'offset')."


@pytest.mark.parametrize(
    ("extra", "said"),
    [
        ({"parameters": {"offset": 5.0}}, "ignored: key 'parameters' (nearest: 'params')"),
        ({"params": {"zzz": 1}, "x": 1}, "ignored: param 'zzz'; key 'x'"),
        ({"params": {"a\r\nb: c": 1}}, "ignored: param 'a\\r\\nb: c'"),
        ({"params": {"é": 1}}, "ignored: param '?'"),
    ],
)
async def test_other_names_are_said_as_well(client: httpx.AsyncClient, extra: dict[str, Any], said: str) -> None:
    answer = await client.post("/invocations", json={**ROWS, **extra})
    assert (answer.status_code, answer.json()) == (200, PLAIN)
    assert answer.headers["x-request-warning"] == said


def test_the_nearest_is_not_looked_for_among_a_thousand_columns() -> None:
    """It would take the event loop a quarter of a second."""
    columns = [f"feature_{number:04}" for number in range(1000)]
    assert told([("column", "feature_0x01")], [], columns) == ["column 'feature_0x01'"]
    assert told([("column", "feature_0x01")], [], columns[:2]) == ["column 'feature_0x01' (nearest: 'feature_0001')"]


@pytest.mark.parametrize(
    "extra", [{}, {"params": None}, {"params": {}}, {"params": {"offset": 0.0}}, {"signature_name": "serving_default"}]
)
async def test_of_a_request_that_is_understood_nothing_is_said(client: httpx.AsyncClient, extra: Any) -> None:
    for model in ("adder", "strict"):
        answer = await client.post(f"/models/{model}/invocations", json={**ROWS, **extra})
        assert (answer.status_code, answer.json()) == (200, PLAIN)
        assert "x-request-warning" not in answer.headers


async def test_a_strict_model_refuses_what_it_does_not_know(client: httpx.AsyncClient) -> None:
    for extra, said in (
        ({"params": {"ofset": 5.0}}, "there is no param 'ofset' (nearest: 'offset')"),
        ({"parameters": {}}, "there is no key 'parameters' (nearest: 'params')"),
    ):
        answer = await client.post("/models/strict/invocations", json={**ROWS, **extra})
        assert answer.status_code == 400
        assert said in answer.json()["message"]


async def test_many_names_make_no_long_header(client: httpx.AsyncClient) -> None:
    body = {**ROWS, "params": {f"{'n' * 500}{i}": 1 for i in range(200)}}
    answer = await client.post("/invocations", content=json.dumps(body))
    assert answer.status_code == 200
    assert len(answer.headers["x-request-warning"]) < 500


async def test_a_misspelt_column_is_said_where_an_optional_one_is_missing(tmp_path: Path) -> None:
    from penstock.package.save import save_model

    (tmp_path / "m.py").write_text("def predict(inputs):\n    return inputs['city'].isna().to_numpy()\n")
    frame = pd.DataFrame({"n": [1.0, 2.0], "city": ["a", None]})
    loaded = load_path(save_model(tmp_path / "m.py", tmp_path / "m", example=frame).path, LoadOptions(trust_code=True))
    metrics = Metrics(process=False)
    model = ServedModel("m", metrics)
    model.swap(Servable("m", "1", loaded, metrics, ServingOptions(strict_params=True)))
    gateway = Gateway([model], metrics)
    said = "ignored: column 'ctiy' (nearest: 'city')"
    async with httpx.AsyncClient(transport=httpx.ASGITransport(make_app(gateway)), base_url="http://test") as http:
        for body, media in (
            ('{"dataframe_records": [{"n": 1, "ctiy": "a"}]}', "application/json"),
            ('{"dataframe_split": {"columns": ["n", "ctiy"], "data": [[1, "a"]]}}', "application/json"),
            ('{"inputs": {"n": [1], "ctiy": ["a"]}}', "application/json"),
            ("n,ctiy\n1,a\n", "text/csv"),
        ):
            answer = await http.post("/invocations", content=body, headers={"content-type": media})
            assert (answer.status_code, answer.json()) == (200, {"predictions": [True]}), body
            assert answer.headers["x-request-warning"] == said, body
        left_out = await http.post("/invocations", json={"dataframe_records": [{"n": 1}]})
        assert "x-request-warning" not in left_out.headers
    await gateway.close()


def test_the_log_has_a_line_a_minute_for_each_model(caplog: pytest.LogCaptureFixture) -> None:
    now = [100.0]
    told = IgnoredLog(lambda: now[0])
    with caplog.at_level(logging.WARNING, logger="penstock.server"):
        for _ in range(50):
            told.tell("a", ["param 'x'"])
        told.tell("b", ["param 'x'"])
        now[0] += 61
        told.tell("a", ["param 'y'"])
    assert [m.partition(", and")[0] for m in caplog.messages] == [
        "A request to a holds what means nothing",
        "A request to b holds what means nothing",
        "A request to a holds what means nothing",
    ]
    assert caplog.messages[-1].endswith("ignored: param 'y'. So were names in 49 requests before.")
