"""Optional columns, which a gap in the example makes: left out or null, alone or beside others, in any format, a row
has one answer. Whole numbers have no gaps: a refusal says where."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pandas as pd
import pytest
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from penstock.loading import load_path
from penstock.metrics import Metrics
from penstock.package.save import save_model
from penstock.server.app import make_app
from penstock.serving.gateway import Gateway
from penstock.serving.servable import Servable
from penstock.serving.served_model import ServedModel
from penstock.wire.mlflow.formats import CSV, JSON, PARQUET

FRAME = pd.DataFrame({"age": [1, 2, 3, 4, 5, 6], "city": ["a", "b", None, "a", "b", None]})
TARGET = [1.0, 2.0, 30.0, 4.0, 5.0, 60.0]


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One-hot encoded cities, of which none is a category of its own."""
    columns = make_column_transformer((OneHotEncoder(handle_unknown="ignore"), ["city"]), ("passthrough", ["age"]))
    estimator = make_pipeline(columns, LinearRegression()).fit(FRAME, TARGET)
    return save_model(estimator, tmp_path_factory.mktemp("packages") / "cities", example=FRAME).path


@pytest.fixture
async def client(package: Path) -> AsyncIterator[httpx.AsyncClient]:
    metrics = Metrics(process=False)
    model = ServedModel("cities", metrics)
    model.swap(Servable("cities", "1", load_path(package), metrics))
    gateway = Gateway([model], metrics)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(make_app(gateway)), base_url="http://test") as http:
        yield http
    await gateway.close()


async def ask(client: httpx.AsyncClient, body: Any, media: str) -> httpx.Response:
    given: dict[str, Any] = {"json": body} if media == JSON else {"content": body}
    return await client.post("/invocations", headers={"content-type": media}, **given)


def parquet(**columns: Any) -> bytes:
    sink = BytesIO()
    pd.DataFrame(columns).to_parquet(sink)
    return sink.getvalue()


@pytest.mark.parametrize(
    ("body", "media"),
    [
        ({"dataframe_records": [{"age": 3, "city": None}, {"age": 1, "city": "a"}]}, JSON),
        ({"dataframe_records": [{"age": 3, "city": None}]}, JSON),
        ({"dataframe_records": [{"age": 3}]}, JSON),
        ({"dataframe_records": [{"age": 3}, {"age": 1, "city": "a"}]}, JSON),
        ({"dataframe_split": {"columns": ["age"], "data": [[3]]}}, JSON),
        ({"inputs": {"age": [3]}}, JSON),
        ({"inputs": {"age": [3], "city": [None]}}, JSON),
        ({"instances": [{"age": 3}]}, JSON),
        (b"age\n3\n", CSV),
        (b"age,city\n3,\n", CSV),
        (parquet(age=[3]), PARQUET),
        (parquet(age=[3], city=[None]), PARQUET),
    ],
)
async def test_a_gap_is_one_thing_however_it_comes(client: httpx.AsyncClient, body: Any, media: str) -> None:
    answer = await ask(client, body, media)
    assert answer.status_code == 200, answer.text
    assert answer.json()["predictions"][0] == pytest.approx(30.0, abs=20.0)


@pytest.mark.parametrize(
    ("body", "media"),
    [
        ({"dataframe_records": [{"age": 3}, {"age": None}]}, JSON),
        ({"dataframe_records": [{"age": 3}, {"age": 1.5}]}, JSON),
        ({"inputs": {"age": [3, None]}}, JSON),
        (b"age,city\n3,a\n,a\n", CSV),
        (b"age\n3\n1.5\n", CSV),
        (parquet(age=[3.0, None]), PARQUET),
        (parquet(age=[3.0, 1.5]), PARQUET),
    ],
)
async def test_a_gap_or_a_fraction_among_whole_numbers_is_refused_by_row_and_column(
    client: httpx.AsyncClient, body: Any, media: str
) -> None:
    answer = await ask(client, body, media)
    assert answer.status_code == 400
    assert "row 1, column 'age': " in answer.json()["message"]


async def test_the_openapi_document_requires_what_the_server_does(client: httpx.AsyncClient) -> None:
    document = (await client.get("/openapi.json")).text
    assert '"required":["age"]' in document.replace(" ", "")


def test_gaps_beyond_the_rows_that_are_kept_count(tmp_path: Path) -> None:
    frame = pd.DataFrame({"age": np.arange(60.0), "city": ["a"] * 59 + [None]})
    columns = make_column_transformer((OneHotEncoder(), ["city"]), ("passthrough", ["age"]))
    estimator = make_pipeline(columns, LinearRegression()).fit(frame, np.arange(60.0))
    signature = save_model(estimator, tmp_path / "m", example=frame).manifest.signature
    assert signature is not None
    assert [str(field) for field in signature.inputs or ()] == ["age: double", "city: string (optional)"]


def test_packaging_says_what_whole_numbers_mean(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    estimator = LinearRegression().fit(FRAME[["age"]], TARGET)
    with caplog.at_level(logging.WARNING, logger="penstock.package"):
        save_model(estimator, tmp_path / "whole", example=FRAME[["age"]])
        save_model(estimator, tmp_path / "floats", example=FRAME[["age"]].astype(float))
    (said,) = caplog.messages
    assert "column 'age' holds whole numbers" in said
    assert "write 1.0 for 1" in said
