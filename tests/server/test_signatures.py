"""What a program that sends rows is told: the signature beside each path of predictions, and what did not fit."""

from __future__ import annotations

import importlib
from pathlib import Path

import httpx
import pytest

from penstock import testing
from penstock.signature import Signature
from server.asgi import Bench

importlib.import_module("pandas")  # bodies that it reads are read here, and by no other process
COLUMNS = Signature.from_mlflow({"inputs": '[{"type": "double", "name": "a"}, {"type": "long", "name": "b"}]'})


async def test_the_signature_is_in_mlflows_form_and_names_its_version(bench: Bench, client: httpx.AsyncClient) -> None:
    servable = bench.models["m"].current
    assert servable is not None
    for path in ("/signature", "/models/m/signature", "/models/m/versions/1/signature"):
        found = (await client.get(path)).json()
        assert Signature.from_mlflow(found["signature"]) == servable.signature
        assert (found["model"], found["version"], found["flavor"]) == ("m", "1", "onnx")
        assert found["digest"] == servable.loaded.digest
        assert found["is_signature_from_type_hint"] is False
        assert {"application/json", "application/vnd.apache.arrow.stream"} <= set(found["reads"])


async def test_there_is_no_signature_of_what_is_not_served(bench: Bench, client: httpx.AsyncClient) -> None:
    for path in ("/models/n/signature", "/models/m/versions/2/signature"):
        answer = await client.get(path)
        assert (answer.status_code, answer.json()["error_code"]) == (404, "RESOURCE_DOES_NOT_EXIST")
    assert (await client.post("/signature")).status_code == 405


async def test_it_is_read_by_those_who_may_predict_on_the_main_port_too(identity_onnx_package: Path) -> None:
    bench = Bench(identity_onnx_package, token="secret", admin_port=8081)
    bench.serve()
    async with bench.open() as client:
        assert (await client.get("/models/m/signature")).status_code == 401
        client.headers["authorization"] = "Bearer secret"
        assert (await client.get("/models/m/signature")).status_code == 200
    await bench.close()


def test_a_model_without_a_signature_says_so() -> None:
    with testing.client(fakes={"m": lambda data, params: data}) as gateway:
        found = gateway.get("/signature").json()
        assert (found["model"], found["signature"]) == ("m", None)


class TestCellsThatDoNotFit:
    @pytest.mark.parametrize("rows", [1, 200])
    def test_they_are_named_by_row_and_column(self, rows: int) -> None:
        data = [{"a": 1.0, "b": 1}, *({"a": "much", "b": 2} for _ in range(rows))]
        with testing.client(fakes={"m": testing.FakeModel(lambda data, params: data, COLUMNS)}) as gateway:
            answer = gateway.post("/invocations", json={"dataframe_records": data})
        assert answer.status == 400, answer.text
        found = answer.json()["violations"]
        assert found[0] == {"row": 1, "column": "a", "reason": "'much' is not a number (double)"}
        assert len(found) == min(rows, 20)

    def test_an_error_of_another_kind_names_none(self) -> None:
        with testing.client(fakes={"m": lambda data, params: data}) as gateway:
            assert "violations" not in gateway.post("/invocations", body=b"{").json()


class TestCsvWithoutLineEnds:
    """`curl -d @rows.csv` takes them away."""

    def test_the_refusal_says_what_curl_did(self) -> None:
        with testing.client(fakes={"m": testing.FakeModel(lambda data, params: data, COLUMNS)}) as gateway:
            answer = gateway.post("/invocations", body=b"a,b1.0,23.0,4", headers={"Content-Type": "text/csv"})
        assert answer.status == 400
        assert "missing columns: 'b'" in answer.json()["message"]
        assert "--data-binary @FILE" in answer.json()["message"]

    def test_a_file_with_lines_is_not_told_so(self) -> None:
        with testing.client(fakes={"m": testing.FakeModel(lambda data, params: data, COLUMNS)}) as gateway:
            answer = gateway.post("/invocations", body=b"a,c\n1.0,2\n", headers={"Content-Type": "text/csv"})
        assert "missing columns: 'b'" in answer.json()["message"]
        assert "data-binary" not in answer.json()["message"]
