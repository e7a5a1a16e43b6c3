"""A server's answers are what they mean: taken, refused, or to be asked again."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from fluent.dripping_server import dripping_server
from fluent.scripted_server import ScriptedServer, scripted_server
from penstock.errors import ConfigError, TrackingRefused, TrackingUnavailable
from penstock.fluent.settings import TrackingSettings
from penstock.fluent.transport import rest
from penstock.fluent.transport.exchange import ExchangeLimits
from penstock.fluent.transport.interface import TrackingTransport
from penstock.fluent.transport.opening import open_transport
from penstock.mlflow_credentials import MlflowCredentials


@pytest.fixture(scope="module")
def listening() -> Iterator[ScriptedServer]:
    with scripted_server() as script:
        yield script


@pytest.fixture
def server(listening: ScriptedServer) -> ScriptedServer:
    listening.asked.clear()
    listening.say((200, {}))
    listening.connections = 0
    return listening


@pytest.fixture
def transport(server: ScriptedServer) -> Iterator[TrackingTransport]:
    with closing(open_transport(TrackingSettings(uri=f"{server.url}/team/"))) as made:
        yield made


def test_calls_share_a_connection_and_keep_the_prefix(transport: TrackingTransport, server: ScriptedServer) -> None:
    transport.get("runs/get", {"run_id": "a b"})
    transport.post("runs/log-batch", {"run_id": "a"})
    assert [(asked.method, asked.path) for asked in server.asked] == [
        ("GET", "/team/api/2.0/mlflow/runs/get?run_id=a+b"),
        ("POST", "/team/api/2.0/mlflow/runs/log-batch"),
    ]
    assert json.loads(server.asked[1].body) == {"run_id": "a"}
    assert server.connections == 1


@pytest.mark.parametrize("status", [401, 403, 408, 429, 500, 502, 503, 504, 507])
def test_what_may_help_later_is_asked_again(transport: TrackingTransport, server: ScriptedServer, status: int) -> None:
    server.answers = [(status, {"Retry-After": "7"}, b'{"error_code":"SOME","message":"Not now."}')]
    with pytest.raises(TrackingUnavailable, match=r"answered \d+: Not now\.") as caught:
        transport.post("runs/log-batch", {})
    assert (caught.value.retry_after, caught.value.status) == (7.0, status)


@pytest.mark.parametrize("retry_after", ["soon", "-1", "Wed, 21 Oct 2026 07:28:00 GMT"])
def test_a_time_that_is_no_number_of_seconds_is_none(
    transport: TrackingTransport, server: ScriptedServer, retry_after: str
) -> None:
    server.answers = [(503, {"Retry-After": retry_after}, b"")]
    with pytest.raises(TrackingUnavailable) as caught:
        transport.post("runs/log-batch", {})
    assert caught.value.retry_after is None


def test_a_refusal_has_the_servers_words(transport: TrackingTransport, server: ScriptedServer) -> None:
    server.say((400, {"error_code": "INVALID_PARAMETER_VALUE", "message": "No such name."}))
    with pytest.raises(TrackingRefused, match=r"^No such name\.$") as caught:
        transport.post("runs/log-batch", {})
    assert (caught.value.status, caught.value.error_code) == (400, "INVALID_PARAMETER_VALUE")


@pytest.mark.parametrize(("status", "body"), [(404, b"<html>"), (400, b"[]"), (200, b"<html>"), (200, b"[]")])
def test_what_is_no_tracking_server_keeps_what_was_logged(
    transport: TrackingTransport, server: ScriptedServer, status: int, body: bytes
) -> None:
    server.answers = [(status, {}, body)]
    with pytest.raises(TrackingUnavailable):
        transport.post("runs/log-batch", {})


def test_nobody_at_the_address_is_said_without_the_password() -> None:
    transport = open_transport(TrackingSettings(uri="http://ann:secret@127.0.0.1:9"))
    with pytest.raises(TrackingUnavailable) as caught:
        transport.get("runs/get", {})
    assert "127.0.0.1:9" in str(caught.value)
    assert "secret" not in f"{caught.value}{transport!r}"


def test_a_connection_that_the_server_closed_is_made_again(
    transport: TrackingTransport, server: ScriptedServer
) -> None:
    transport.get("runs/get", {})
    server.answers = [(0, {}, b""), (200, {}, b"{}")]
    assert transport.get("runs/get", {}) == {}
    assert server.connections == 2


def test_a_run_is_not_made_again_where_the_answer_was_lost(
    transport: TrackingTransport, server: ScriptedServer
) -> None:
    transport.get("runs/get", {})
    server.answers = [(0, {}, b""), (200, {}, b"{}")]
    with pytest.raises(TrackingUnavailable):
        transport.post("runs/create", {})


@pytest.mark.parametrize(
    ("credentials", "sent"),
    [
        ({"token": "abc"}, "Bearer abc"),
        ({"username": "ann", "password": "pw", "token": "abc"}, "Basic YW5uOnB3"),
        ({}, None),
    ],
)
def test_credentials_are_sent_as_mlflow_sends_them(server: ScriptedServer, credentials: Any, sent: str | None) -> None:
    settings = TrackingSettings(uri=server.url, credentials=MlflowCredentials(**credentials))
    with closing(open_transport(settings)) as transport:
        transport.get("runs/get", {})
    assert server.asked[0].headers.get("authorization") == sent


def test_the_urls_own_user_counts_without_another_one(server: ScriptedServer) -> None:
    with closing(open_transport(TrackingSettings(uri=server.url.replace("//", "//ann:p%77@")))) as transport:
        transport.get("runs/get", {})
    assert server.asked[0].headers["authorization"] == "Basic YW5uOnB3"


@pytest.mark.parametrize(
    ("answer", "takes"),
    [((200, {"server": "penstock-hub"}), True), ((200, {"store_type": "SqlStore"}), False), ((404, "<html>"), False)],
)
def test_only_a_hub_takes_ids_of_runs(
    transport: TrackingTransport, server: ScriptedServer, answer: tuple[int, Any], takes: bool
) -> None:
    server.say(answer)
    assert transport.takes_run_ids is takes
    assert transport.takes_run_ids is takes
    assert len(server.asked) == 1


def test_whether_it_takes_ids_is_asked_again_after_a_failure(
    transport: TrackingTransport, server: ScriptedServer
) -> None:
    server.say((503, {}), (200, {"server": "penstock-hub"}))
    with pytest.raises(TrackingUnavailable):
        assert transport.takes_run_ids
    assert transport.takes_run_ids


def test_a_file_goes_where_the_run_keeps_its_files(transport: TrackingTransport, server: ScriptedServer) -> None:
    transport.put_file("mlflow-artifacts:/1/a/artifacts", "plots/a b.png", io.BytesIO(b"content"), 7)
    asked = server.asked[0]
    assert asked.path == "/team/api/2.0/mlflow-artifacts/artifacts/1/a/artifacts/plots/a%20b.png"
    assert asked.body == b"content"


def test_files_on_this_machine_are_written_here(transport: TrackingTransport, tmp_path: Any) -> None:
    transport.put_file(f"file://{tmp_path}/run%20a", "plots/a.png", io.BytesIO(b"content"), 7)
    assert (tmp_path / "run a" / "plots" / "a.png").read_bytes() == b"content"
    assert transport.read_file(str(tmp_path / "run a"), "plots/a.png") == b"content"


@pytest.mark.parametrize("place", ["s3://bucket/1/a", "mlflow-artifacts://elsewhere:80/1/a"])
def test_files_that_are_kept_elsewhere_are_refused(transport: TrackingTransport, place: str) -> None:
    with pytest.raises(TrackingRefused, match="does not write"):
        transport.put_file(place, "a.png", io.BytesIO(b""), 0)


@pytest.mark.parametrize("uri", ["http://", "http://hub:port"])
def test_an_address_that_is_none_is_said_to_be_none(uri: str) -> None:
    with pytest.raises(ConfigError):
        open_transport(TrackingSettings(uri=uri))


def test_an_answer_too_deep_to_be_read_is_none_of_a_tracking_server(
    transport: TrackingTransport, server: ScriptedServer
) -> None:
    for status in (200, 400):
        server.answers = [(status, {}, b'{"run":' + b"[" * 100_000 + b"]" * 100_000 + b"}")]
        with pytest.raises(TrackingUnavailable):
            transport.post("runs/create", {})


def test_an_answer_may_have_so_many_bytes(
    transport: TrackingTransport, server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rest, "_SMALL", ExchangeLimits(1024, 5.0))
    server.answers = [(200, {}, b"{}" + b" " * 1023)]
    with pytest.raises(TrackingUnavailable, match="more than 0 MiB"):
        transport.post("runs/create", {})
    assert transport.post("runs/search", {}) == {}


@pytest.mark.parametrize("head", [b"HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n", b"HTTP/1.1 200 OK\r\nX: "])
@pytest.mark.parametrize("chunked", [False, True])
def test_a_server_that_sends_on_and_on_takes_no_longer_than_a_call_may(
    monkeypatch: pytest.MonkeyPatch, head: bytes, chunked: bool
) -> None:
    """A byte now and then keeps every timeout of a single read."""
    monkeypatch.setattr(rest, "_RUN", ExchangeLimits(1024, 0.08))
    if chunked:
        head = head.replace(b"Content-Length: 999", b"Transfer-Encoding: chunked")
    with (
        dripping_server(head) as url,
        closing(open_transport(TrackingSettings(uri=url))) as transport,
        pytest.raises(TrackingUnavailable, match=r"took too long|timed out"),
    ):
        transport.get("runs/get", {})


def test_a_file_is_sent_within_its_time(monkeypatch: pytest.MonkeyPatch, server: ScriptedServer) -> None:
    monkeypatch.setattr(rest, "_FILE", ExchangeLimits(1024, 0.0, 1.0))
    file = io.BytesIO(b"content")
    with (
        closing(open_transport(TrackingSettings(uri=server.url))) as transport,
        pytest.raises(TrackingUnavailable, match="took too long"),
    ):
        transport.put_file("mlflow-artifacts:/0/a/artifacts", "x", file, 7)
    file.seek(0)
    monkeypatch.setattr(rest, "_FILE", ExchangeLimits(1024, 0.5, 1.0))
    with closing(open_transport(TrackingSettings(uri=server.url))) as transport:
        transport.put_file("mlflow-artifacts:/0/a/artifacts", "x", file, 7)
