"""Models that take texts, by a column's name or as one array: every form of rows in, each with its own answer."""

from __future__ import annotations

from collections.abc import AsyncIterator
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pandas as pd
import pytest
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.naive_bayes import MultinomialNB
from sklearn.pipeline import make_pipeline

from penstock.loading import load_path
from penstock.metrics import Metrics
from penstock.package.save import save_model
from penstock.server.app import make_app
from penstock.serving.gateway import Gateway
from penstock.serving.servable import Servable
from penstock.serving.served_model import ServedModel
from penstock.wire.mlflow.formats import CSV, JSON, PARQUET

TEXTS = ["good", "bad", "good good"]
EXPECTED = ["pos", "neg", "pos"]


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    place = tmp_path_factory.mktemp("packages")
    estimator = make_pipeline(CountVectorizer(), MultinomialNB()).fit(TEXTS, EXPECTED)
    frame = pd.DataFrame({"text": TEXTS})
    return {
        "column": save_model(estimator, place / "column", example=frame).path,
        "array": save_model(estimator, place / "array", example=np.array(TEXTS)).path,
    }


@pytest.fixture
async def client(packages: dict[str, Path]) -> AsyncIterator[httpx.AsyncClient]:
    metrics = Metrics(process=False)
    models = []
    for name, path in packages.items():
        model = ServedModel(name, metrics)
        model.swap(Servable(name, "1", load_path(path), metrics))
        models.append(model)
    gateway = Gateway(models, metrics)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(make_app(gateway)), base_url="http://test") as http:
        yield http
    await gateway.close()


async def ask(client: httpx.AsyncClient, model: str, body: Any, media: str = JSON) -> httpx.Response:
    given: dict[str, Any] = {"json": body} if media == JSON else {"content": body}
    return await client.post(f"/models/{model}/invocations", headers={"content-type": media}, **given)


def parquet(frame: pd.DataFrame) -> bytes:
    sink = BytesIO()
    frame.to_parquet(sink)
    return sink.getvalue()


@pytest.mark.parametrize("model", ["column", "array"])
@pytest.mark.parametrize(
    ("body", "media"),
    [
        ({"dataframe_split": {"columns": ["text"], "data": [[text] for text in TEXTS]}}, JSON),
        ({"dataframe_records": [{"text": text} for text in TEXTS]}, JSON),
        ({"inputs": TEXTS}, JSON),
        ({"instances": TEXTS}, JSON),
        (b"text\ngood\nbad\ngood good\n", CSV),
        (parquet(pd.DataFrame({"text": TEXTS})), PARQUET),
    ],
    ids=["split", "records", "inputs", "instances", "csv", "parquet"],
)
async def test_each_text_has_its_answer(client: httpx.AsyncClient, model: str, body: Any, media: str) -> None:
    answer = await ask(client, model, body, media)
    assert (answer.status_code, answer.json()) == (200, {"predictions": EXPECTED})


@pytest.mark.parametrize(
    ("body", "media"),
    [
        ({"dataframe_split": {"columns": ["text"], "data": [["good"], [None]]}}, JSON),
        ({"dataframe_records": [{"text": "good"}, {}]}, JSON),
        ({"inputs": ["good", None]}, JSON),
        (b'text\ngood\n""\n', CSV),
        (parquet(pd.DataFrame({"text": ["good", None]})), PARQUET),
    ],
    ids=["split", "records", "inputs", "csv", "parquet"],
)
async def test_a_missing_text_is_refused_with_its_row(client: httpx.AsyncClient, body: Any, media: str) -> None:
    refused = await ask(client, "array", body, media)
    assert refused.status_code == 400
    assert "row 1" in refused.json()["message"]
    assert "a missing value cannot be str" in refused.json()["message"]
    failed = await ask(client, "column", body, media)
    assert failed.status_code == 400
    assert failed.json()["message"].endswith("Row 1, column 'text', is missing.")


async def test_what_does_not_fit_one_array_is_told_in_the_callers_words(client: httpx.AsyncClient) -> None:
    many = await ask(client, "array", b"id,text\n1,good\n", CSV)
    assert "the model takes one column, but the input has 2 ('id', 'text')" in many.json()["message"]
    named = await ask(client, "array", {"instances": [{"text": "good"}]})
    assert "one array without a name, not named ones ('text')" in named.json()["message"]
    assert (await ask(client, "column", b"id,text\n1,good\n", CSV)).json() == {"predictions": ["pos"]}
