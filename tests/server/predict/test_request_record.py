"""A version as a protocol shows it: its codec for the model, its headers, made once and kept with the version."""

from __future__ import annotations

import gc
import weakref
from pathlib import Path
from typing import Any

import orjson
import pytest

from penstock.errors import SchemaViolation
from penstock.metrics import Metrics
from penstock.server.predict.request_record import Binding, RequestRecord
from penstock.serving.servable import Servable
from penstock.wire.mlflow.codec import MlflowProtocol
from penstock.wire.mlflow.formats import JSON
from penstock.wire.mlflow.vertex import VertexProtocol
from serving.fakes import loaded

MLFLOW = MlflowProtocol()


def binding_of(servable: Servable, protocol: MlflowProtocol) -> Binding:
    """As a request's record finds it."""
    record = RequestRecord(0.0, b"", protocol, servable.metrics)
    record.bind(servable)
    assert record.binding is not None
    return record.binding


@pytest.fixture
def make(identity_onnx_package: Path) -> Any:
    def servable(package: Path = identity_onnx_package, name: str = "m") -> Servable:
        return Servable(name, "1", loaded(package), Metrics(process=False))

    return servable


async def test_bodies_are_read_as_the_model_takes_them(make: Any, iris_package: Path) -> None:
    servable = make(iris_package)
    names = ["petal_width", "petal_length", "sepal_width", "sepal_length", "extra"]
    body = orjson.dumps({"dataframe_split": {"columns": names, "data": [[0, 1, 2, 3, 4]]}, "params": {"k": 1}})
    request = binding_of(servable, MLFLOW).codec.read(JSON, body)
    assert request.payload.names == ("sepal_length", "sepal_width", "petal_length", "petal_width")
    assert request.payload.block.tolist() == [[3, 2, 1, 0]]
    assert (request.params, request.wrapped) == ({"k": 1}, True)
    await servable.close()


async def test_bodies_that_do_not_fit_say_where(make: Any, iris_package: Path) -> None:
    servable = make(iris_package)
    body = b'{"dataframe_records": [{"sepal_length": 1, "sepal_width": 2, "petal_length": 3}]}'
    with pytest.raises(SchemaViolation, match="petal_width") as caught:
        binding_of(servable, MLFLOW).codec.read(JSON, body)
    assert caught.value.violations
    await servable.close()


async def test_tensors_of_another_shape_do_not_fit(make: Any) -> None:
    servable = make()
    with pytest.raises(SchemaViolation):
        binding_of(servable, MLFLOW).codec.read(JSON, b'{"inputs": [[1, 2, 3, 4]]}')
    await servable.close()


async def test_each_protocol_has_one_binding_for_each_version(make: Any) -> None:
    servable, other, vertex = make(), make(), VertexProtocol()
    assert binding_of(servable, MLFLOW) is binding_of(servable, MLFLOW)
    assert binding_of(servable, MLFLOW) is not binding_of(other, MLFLOW)
    assert binding_of(servable, MLFLOW) is not binding_of(servable, vertex)
    await servable.close()
    await other.close()


async def test_a_binding_does_not_keep_a_version_that_is_gone(make: Any) -> None:
    servable = make()
    binding = binding_of(servable, MLFLOW)
    await servable.close()
    gone = weakref.ref(servable)
    gc.disable()
    try:
        del servable
        assert gone() is None, "a ring would wait for the collector"
    finally:
        gc.enable()
    assert binding.header_lines == b"x-model-name: m\r\nx-model-version: 1\r\n"


async def test_a_name_that_no_header_may_hold_is_made_printable(make: Any) -> None:
    servable = make(name="zürich\r\nx-evil: 1")
    assert binding_of(servable, MLFLOW).headers[0] == (b"x-model-name", b"z?rich??x-evil: 1")
    await servable.close()
