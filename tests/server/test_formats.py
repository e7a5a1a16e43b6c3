"""Bodies and answers in other formats than JSON, packed or plain; JSON wherever a format does not fit."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import AsyncIterator, Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import pandas as pd
import pyarrow as pa
import pytest
import zstandard
from pyarrow import ipc

from penstock.loading import load_path
from penstock.metrics import Metrics
from penstock.server.app import make_app
from penstock.serving.gateway import Gateway
from penstock.serving.servable import Servable
from penstock.serving.served_model import ServedModel
from penstock.wire.mlflow.formats import ARROW, ARROW_FILE, CSV, JSON, JSON_WORDS, PARQUET, accepted

LIMIT = 200_000


@pytest.fixture
async def client(iris_package: Path, iris_onnx_package: Path) -> AsyncIterator[httpx.AsyncClient]:
    metrics = Metrics(process=False)
    models = []
    for name, path in {"iris": iris_package, "graph": iris_onnx_package}.items():
        model = ServedModel(name, metrics)
        model.swap(Servable(name, "1", load_path(path), metrics))
        models.append(model)
    gateway = Gateway(models, metrics, default="iris")
    transport = httpx.ASGITransport(make_app(gateway, max_body_bytes=LIMIT))
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as http:
        yield http
    await gateway.close()


def body_of(frame: pd.DataFrame, media: str) -> bytes:
    if media == CSV:
        text: str = frame.to_csv(index=False)
        return text.encode()
    if media == PARQUET:
        parquet: bytes = frame.to_parquet()
        return parquet
    table = pa.Table.from_pandas(frame)
    sink = BytesIO()
    with (ipc.new_stream if media == ARROW else ipc.new_file)(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue()


def split(frame: pd.DataFrame) -> dict[str, Any]:
    return {"dataframe_split": {"columns": list(frame), "data": frame.to_numpy().tolist()}}


@pytest.mark.parametrize("media", [CSV, PARQUET, ARROW, ARROW_FILE])
async def test_every_format_is_read(
    client: httpx.AsyncClient, iris_frame: Any, iris_estimator: Any, media: str
) -> None:
    answer = await client.post("/invocations", content=body_of(iris_frame, media), headers={"Content-Type": media})
    assert answer.json()["predictions"] == iris_estimator.predict(iris_frame).tolist()


@pytest.mark.parametrize("media", [PARQUET, ARROW, ARROW_FILE])
@pytest.mark.parametrize("content", [b"", b"nonsense", b"PAR1", b"ARROW1\0\0"])
async def test_damaged_columnar_bodies_are_a_400(client: httpx.AsyncClient, media: str, content: bytes) -> None:
    answer = await client.post("/invocations", content=content, headers={"Content-Type": media})
    assert (answer.status_code, answer.json()["error_code"]) == (400, "BAD_REQUEST")


async def test_a_truncated_parquet_body_is_a_400(client: httpx.AsyncClient, iris_frame: Any) -> None:
    content = body_of(iris_frame, PARQUET)
    for end in (len(content) // 2, len(content) - 1):
        answer = await client.post("/invocations", content=content[:end], headers={"Content-Type": PARQUET})
        assert answer.status_code == 400


@pytest.mark.parametrize(
    ("encoding", "pack"),
    [
        ("gzip", gzip.compress),
        ("GZIP", gzip.compress),
        ("deflate", zlib.compress),
        ("zstd", lambda body: zstandard.ZstdCompressor().compress(body)),
        ("identity", bytes),
        ("deflate, gzip", lambda body: gzip.compress(zlib.compress(body))),
    ],
)
async def test_packed_bodies_answer_as_plain_ones(
    client: httpx.AsyncClient, iris_frame: Any, encoding: str, pack: Any
) -> None:
    plain = client.build_request("POST", "/invocations", json=split(iris_frame)).content
    headers = {"Content-Type": JSON, "Content-Encoding": encoding}
    answer = await client.post("/invocations", content=pack(plain), headers=headers)
    assert len(answer.json()["predictions"]) == 150


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "zstd"])
async def test_a_body_that_unpacks_past_the_limit_is_a_413(client: httpx.AsyncClient, encoding: str) -> None:
    bomb = b"0" * (LIMIT * 50)
    ways: dict[str, Callable[[bytes], bytes]] = {
        "gzip": gzip.compress,
        "deflate": zlib.compress,
        "zstd": zstandard.ZstdCompressor().compress,
    }
    pack = ways[encoding]
    answer = await client.post("/invocations", content=pack(bomb), headers={"Content-Encoding": encoding})
    assert answer.status_code == 413


@pytest.mark.parametrize(
    ("encoding", "status"), [("gzip", 400), ("zstd", 400), ("deflate", 400), ("br", 415), ("x", 415)]
)
async def test_bodies_in_another_encoding_than_they_say_are_refused(
    client: httpx.AsyncClient, encoding: str, status: int
) -> None:
    answer = await client.post("/invocations", content=b"{}", headers={"Content-Encoding": encoding})
    assert answer.status_code == status


async def test_a_cut_off_gzip_body_is_a_400(client: httpx.AsyncClient) -> None:
    packed = gzip.compress(b'{"inputs": [[1, 2, 3, 4]]}')[:-9]
    answer = await client.post("/invocations", content=packed, headers={"Content-Encoding": "gzip"})
    assert answer.status_code == 400
    assert "truncated" in answer.json()["message"]


async def test_csv_answers_equal_the_estimators(
    client: httpx.AsyncClient, iris_frame: Any, iris_estimator: Any
) -> None:
    answer = await client.post("/invocations", json=split(iris_frame), headers={"Accept": "text/csv"})
    assert answer.headers["content-type"] == CSV
    assert pd.read_csv(BytesIO(answer.content))["prediction"].tolist() == iris_estimator.predict(iris_frame).tolist()


@pytest.mark.parametrize("media", [PARQUET, ARROW])
async def test_columnar_answers_have_a_column_an_output(client: httpx.AsyncClient, iris_frame: Any, media: str) -> None:
    answer = await client.post("/models/graph/invocations", json=split(iris_frame), headers={"Accept": media})
    assert answer.headers["content-type"] == media
    read = (
        pd.read_parquet(BytesIO(answer.content)) if media == PARQUET else ipc.open_stream(answer.content).read_pandas()
    )
    assert list(read) == ["label", "probabilities_0", "probabilities_1", "probabilities_2"]
    assert len(read) == 150


@pytest.mark.parametrize(
    ("accept", "media"),
    [
        ("", JSON),
        ("*/*", JSON),
        ("text/html", JSON),
        ("text/csv", CSV),
        ("Text/CSV; charset=utf-8", CSV),
        ("text/csv;q=0.5, application/json;q=0.9", JSON),
        ("application/json;q=0.1, application/vnd.apache.parquet", PARQUET),
        ("text/html, text/csv;q=0.2", CSV),
        ("application/json;non-finite=words", JSON_WORDS),
        ("application/json; non-finite=words;q=0.9, text/csv;q=0.1", JSON_WORDS),
        ("text/csv;q=nonsense", CSV),
        (";;;,,,", JSON),
    ],
)
def test_the_accept_header_chooses_the_format_of_the_answer(accept: str, media: str) -> None:
    assert accepted(accept) == media


async def test_errors_are_json_whatever_is_accepted(client: httpx.AsyncClient) -> None:
    answer = await client.post("/invocations", content=b"{", headers={"Accept": CSV})
    assert answer.headers["content-type"] == JSON
    assert answer.json()["error_code"] == "BAD_REQUEST"
