"""The OpenAPI document tells the truth: its examples are answered, its schemas say what the models take."""

from __future__ import annotations

import json
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from penstock import testing
from penstock.loading import LoadedModel, LoadOptions, Proof, load_path
from penstock.metrics import Metrics
from penstock.package import PackagedModel
from penstock.package.seal import write_seal
from penstock.server.admin.docs import _ASSETS
from penstock.server.admin.openapi_schemas import request_schema
from penstock.server.app import make_app
from penstock.serving.gateway import Gateway
from penstock.serving.servable import Servable
from penstock.serving.served_model import ServedModel
from penstock.signature import (
    AnyValue,
    ArrayOf,
    Field,
    MapOf,
    ObjectOf,
    Param,
    Property,
    Scalar,
    Signature,
    TensorField,
)
from penstock.testing.fakes import FakeModel


@pytest.fixture
async def client(iris_package: Path, iris_onnx_package: Path, python_package: Path) -> AsyncIterator[httpx.AsyncClient]:
    metrics = Metrics(process=False)
    models = [ServedModel(name, metrics) for name in ("iris", "graph", "sum", "later")]
    for model, path in zip(models, (iris_package, iris_onnx_package, python_package), strict=False):
        model.swap(Servable(model.name, "1", load_path(path, LoadOptions(trust_code=True)), metrics))
    gateway = Gateway(models, metrics, default="iris")
    transport = httpx.ASGITransport(make_app(gateway, token="secret"))
    async with httpx.AsyncClient(
        transport=transport, base_url="http://test", headers={"Authorization": "Bearer secret"}
    ) as http:
        yield http
    await gateway.close()


async def test_every_example_is_answered_as_it_says(client: httpx.AsyncClient) -> None:
    document = (await client.get("/openapi.json")).json()
    invocations = {path: item["post"] for path, item in document["paths"].items() if "post" in item}
    assert set(invocations) == {"/invocations", *(f"/models/{n}/invocations" for n in ("iris", "graph", "sum"))}
    for path, operation in invocations.items():
        body = operation["requestBody"]["content"]["application/json"]["example"]
        answer = await client.post(path, json=body)
        assert answer.status_code == 200, answer.text
        expected = operation["responses"]["200"]["content"]["application/json"]["example"]
        assert answer.json().keys() == expected.keys()


async def test_a_package_without_an_example_gets_one_that_is_answered(
    client: httpx.AsyncClient, iris_package: Path
) -> None:
    bare = PackagedModel.open(iris_package)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(bare), "example", lambda _: None)
        document = (await client.get("/openapi.json")).json()
        for path in ("/models/iris/invocations", "/models/graph/invocations"):
            body = document["paths"][path]["post"]["requestBody"]["content"]["application/json"]["example"]
            assert (await client.post(path, json=body)).status_code == 200


KINDS: dict[str, Signature] = {
    "columns": Signature(inputs=tuple(Field(str(scalar), scalar) for scalar in Scalar)),
    "optional columns": Signature(inputs=tuple(Field(str(scalar), scalar, required=False) for scalar in Scalar)),
    "columns without names": Signature(inputs=(Field(None, Scalar.DOUBLE), Field(None, Scalar.STRING))),
    "lists and objects": Signature(
        inputs=(
            Field("l", ArrayOf(ArrayOf(Scalar.LONG))),
            Field("m", MapOf(Scalar.DOUBLE)),
            Field("o", ObjectOf((Property("s", Scalar.STRING), Property("t", Scalar.DATETIME, required=False)))),
            Field("a", AnyValue()),
        )
    ),
    "an array": Signature(inputs=(TensorField(None, np.dtype(np.float32), (-1, 2)),)),
    "arrays": Signature(
        inputs=(TensorField("x", np.dtype(np.int64), (-1,)), TensorField("y", np.dtype(np.str_), (-1, 2)))
    ),
    "params": Signature(
        inputs=(Field("a", Scalar.DOUBLE),),
        params=(
            Param("p", Scalar.DOUBLE, 0.5),
            Param("since", Scalar.DATETIME, None),
            Param("l", Scalar.LONG, [1], (-1,)),
        ),
    ),
    "a hint": Signature(inputs=(Field(None, Scalar.STRING),), hinted=True),
    "a hint of objects": Signature(
        inputs=(Field("a", Scalar.LONG), Field("t", Scalar.DATETIME, required=False)), hinted=True
    ),
}


def test_made_up_examples_are_taken_whatever_the_signature() -> None:
    fakes = {f"m{i}": FakeModel(lambda data, params: len(data), kind) for i, kind in enumerate(KINDS.values())}
    with testing.client(fakes=fakes) as gateway:
        document = gateway.get("/openapi.json").json()
        for name in fakes:
            path = f"/models/{name}/invocations"
            body = document["paths"][path]["post"]["requestBody"]["content"]["application/json"]["example"]
            answer = gateway.post(path, json=body)
            assert answer.status == 200, (body, answer.text)


async def test_an_example_that_the_model_itself_fails_on_is_not_shown(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed = Proof(False, "", ("The model fails on its own example: it is of last year",))
    monkeypatch.setattr(LoadedModel, "proof", failed, raising=False)
    document = (await client.get("/openapi.json")).json()
    for path in ("/models/iris/invocations", "/models/graph/invocations"):
        assert "example" not in document["paths"][path]["post"]["requestBody"]["content"]["application/json"]


def packages_beside_a_sound_one(package: Path, place: Path) -> dict[str, Path]:
    """The same package with examples that MLflow writes, and with one that nobody can read."""
    bodies = {
        "gaps": '{"inputs": [[NaN, 2.0, 3.0]]}',
        "infinite": '{"inputs": [[1.0, -Infinity, 3.0]]}',
        "broken": '{"inputs": [NaN',
        "large": json.dumps({"inputs": [[1.0, 2.0, 3.0]] * 2_000}),
    }
    made = {"sound": package}
    for name, body in bodies.items():
        made[name] = shutil.copytree(package, place / name)
        (made[name] / "serving_input_example.json").write_text(body)
        (made[name] / "expected_output.json").unlink()
        write_seal(made[name])
    return made


async def test_words_and_faults_in_one_package_cost_the_others_nothing(
    identity_onnx_package: Path, tmp_path: Path
) -> None:
    metrics = Metrics(process=False)
    models = []
    for name, path in packages_beside_a_sound_one(identity_onnx_package, tmp_path).items():
        models.append(ServedModel(name, metrics))
        models[-1].swap(Servable(name, "1", load_path(path), metrics))
    gateway = Gateway(models, metrics)
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(make_app(gateway)), base_url="http://test", follow_redirects=True
    ) as http:
        document = (await http.get("/openapi.json")).json()
        bodies = {}
        for name in ("sound", "gaps", "broken", "infinite", "large"):
            target = f"/models/{name}/invocations"
            operation = document["paths"][target]["post"]
            bodies[name] = body = operation["requestBody"]["content"]["application/json"]["example"]
            sent = body if isinstance(body, str) else json.dumps(body)
            answer = await http.post(target, content=sent, headers={"content-type": "application/json"})
            assert answer.status_code == 200, (name, answer.text)
            assert ("cannot be used" in operation.get("description", "")) is (name == "broken")
            listed = (await http.get(f"/models/{name}")).json()["versions"][0]["warnings"]
            assert [w for w in listed if "serving_input_example.json" in w] == (listed if name == "broken" else [])
    assert bodies["gaps"] == {"inputs": [[None, 2.0, 3.0]]}
    assert bodies["infinite"] == '{"inputs": [[1.0, -Infinity, 3.0]]}'
    assert len(bodies["large"]["inputs"]) == 5
    await gateway.close()


async def test_a_model_that_cannot_be_described_says_so_and_the_others_stay(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(signature: Signature) -> dict[str, Any]:
        if len(signature.inputs or ()) == 4:
            raise RuntimeError("no words for it")
        return request_schema(signature)

    monkeypatch.setattr("penstock.server.admin.model_operations.request_schema", fails)
    paths = (await client.get("/openapi.json")).json()["paths"]
    assert "cannot be described" in paths["/models/iris/invocations"]["post"]["description"]
    assert "description" not in paths["/models/graph/invocations"]["post"]


async def test_a_version_is_described_once(client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    first = (await client.get("/openapi.json")).json()
    monkeypatch.setattr("penstock.server.admin.model_operations.show_example", None)
    assert (await client.get("/openapi.json")).json() == first


def test_defaults_that_json_has_no_word_for_are_texts() -> None:
    params = (Param("t", Scalar.DOUBLE, float("-inf")), Param("l", Scalar.DOUBLE, [1.0, float("nan")], (-1,)))
    fake = FakeModel(lambda data, _: len(data), Signature(inputs=(Field("a", Scalar.DOUBLE),), params=params))
    with testing.client(fakes={"m": fake}) as gateway:
        listed = gateway.get("/models/m").json()["signature"]["params"]
        document = gateway.get("/openapi.json").json()
    assert [p["default"] for p in listed] == ["-Infinity", [1.0, "NaN"]]
    shown = schemas(document, "/models/m/invocations", "params")["dataframe_split"]["properties"]
    assert "default" not in shown["t"]
    assert "-Infinity" in shown["t"]["description"]


async def test_the_columns_have_their_names_and_types(client: httpx.AsyncClient) -> None:
    document = (await client.get("/openapi.json")).json()
    forms = schemas(document, "/models/iris/invocations")
    record = forms["dataframe_records"]["items"]
    assert list(record["properties"]) == ["sepal_length", "sepal_width", "petal_length", "petal_width"]
    assert record["required"] == list(record["properties"])
    assert record["properties"]["sepal_length"] == {"type": ["number", "null"], "format": "double"}


async def test_schemas_of_arrays_have_their_shape(client: httpx.AsyncClient) -> None:
    document = (await client.get("/openapi.json")).json()
    forms = schemas(document, "/models/graph/invocations")
    assert set(forms) == {"inputs", "instances"}
    row = forms["inputs"]["items"]
    assert (forms["inputs"]["type"], row["minItems"], row["maxItems"], row["items"]) == (
        "array",
        4,
        4,
        {"type": "number"},
    )


def schemas(document: Any, path: str, part: str = "") -> dict[str, Any]:
    schema = document["paths"][path]["post"]["requestBody"]["content"]["application/json"]["schema"]
    return {form["required"][0]: form["properties"][part or form["required"][0]] for form in schema["oneOf"]}


async def test_the_page_is_complete_in_itself_and_open(client: httpx.AsyncClient) -> None:
    del client.headers["Authorization"]
    page = await client.get("/docs")
    assert page.status_code == 200
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert "http" not in page.text.replace("http-equiv", ""), "nothing is fetched from elsewhere"
    for name, media in _ASSETS.items():
        assert f"docs/{name}" in page.text
        asset = await client.get(f"/docs/{name}")
        assert (asset.status_code, asset.headers["content-type"].split(";")[0]) == (200, media)
    assert (await client.get("/openapi.json")).status_code == 401


@pytest.mark.parametrize("name", ["docs.html", "..%2Fapp.py", "x.js"])
async def test_no_other_file_is_served_under_docs(client: httpx.AsyncClient, name: str) -> None:
    assert (await client.get(f"/docs/{name}")).status_code == 404


def test_columns_of_datetimes_say_what_is_read_there() -> None:
    signature = Signature((Field("at", Scalar.DATETIME), Field("seen", Scalar.DATETIME, epoch="ms")))
    with testing.client(fakes={"m": FakeModel(lambda data, params: [1] * len(data), signature)}) as gateway:
        columns = schemas(gateway.get("/openapi.json").json(), "/models/m/invocations")["dataframe_records"]["items"]
        at, seen = columns["properties"]["at"], columns["properties"]["seen"]
        assert at["description"].startswith("ISO 8601")
        assert seen["anyOf"] == [at, {"type": "number", "description": "Milliseconds since 1970-01-01T00:00:00Z."}]
        for text in at["examples"]:
            row = {"at": text, "seen": 1706702400000}
            answer = gateway.post("/models/m/invocations", json={"dataframe_records": [row]})
            assert answer.status == 200, (text, answer.text)
