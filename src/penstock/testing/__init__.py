"""For tests of packages, and of programs that call a gateway: no sockets, no processes to start, nothing to install.

from penstock import testing

def test_the_package_answers_as_recorded():
    testing.assert_package_works("./model")

def test_our_service_asks_for_scores():
    with testing.client("./model") as gateway:
        assert gateway.predict([{"a": 1.0, "b": 2.0}]) == [3.0]

def test_our_service_copes_with_a_slow_model():
    with testing.client(fakes={"fraud": testing.FakeModel(lambda data, params: [0.5] * len(data))}) as gateway:
        assert gateway.post("/models/fraud/invocations", json={"inputs": [[1.0]]}).status == 200
"""

from penstock.testing.asgi import HttpAnswer
from penstock.testing.client import GatewayClient, client
from penstock.testing.fakes import FakeModel, FakePredictor
from penstock.testing.packages import assert_package_works

__all__ = ["FakeModel", "FakePredictor", "GatewayClient", "HttpAnswer", "assert_package_works", "client"]
