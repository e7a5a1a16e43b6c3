"""Talking to an MLflow server: who may see the credentials, and what failures become."""

from __future__ import annotations

import base64
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from penstock.errors import (
    ConfigError,
    RegistryDenied,
    RegistryError,
    RegistryNotFound,
    RegistryRefused,
    RegistryUnavailable,
)
from penstock.mlflow_api.client import CallTimeouts, MlflowRestClient
from penstock.mlflow_api.pools import same_server
from penstock.mlflow_credentials import MlflowCredentials
from penstock.registry import open_registry
from registry.replay import Handler, Replay

QUICK = CallTimeouts(retries=2, backoff=0)
SECRET = "s3cret"


@pytest.fixture
def replay() -> Iterator[Replay]:
    server = Replay()
    yield server
    server.close()


def ask(replay: Replay, access: MlflowCredentials | None = None, url: str = "", **limits: int) -> dict[str, Any]:
    server = MlflowRestClient(url or replay.url, access, QUICK, **limits)
    try:
        return server.get("registered-models/get", name="fraud")
    finally:
        server.close()


def basic(username: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()


class TestCredentials:
    @pytest.mark.parametrize(
        ("environ", "header"),
        [
            ({}, None),
            ({"MLFLOW_TRACKING_USERNAME": "ann", "MLFLOW_TRACKING_PASSWORD": SECRET}, basic("ann", SECRET)),
            ({"MLFLOW_TRACKING_TOKEN": f"{SECRET}\n"}, f"Bearer {SECRET}"),
            ({"MLFLOW_TRACKING_USERNAME": "ann"}, None),
            (
                {
                    "MLFLOW_TRACKING_USERNAME": "ann",
                    "MLFLOW_TRACKING_PASSWORD": SECRET,
                    "MLFLOW_TRACKING_TOKEN": "other",
                },
                basic("ann", SECRET),
            ),
        ],
    )
    def test_credentials_come_from_mlflows_variables(
        self, replay: Replay, environ: dict[str, str], header: str | None
    ) -> None:
        ask(replay, MlflowCredentials.from_environ({"HOME": "/nowhere", **environ}))
        assert replay.headers[-1].get("Authorization") == header

    def test_credentials_come_from_mlflows_file(self, tmp_path: Path) -> None:
        (tmp_path / ".mlflow").mkdir()
        file = tmp_path / ".mlflow" / "credentials"
        file.write_text(f"[mlflow]\nmlflow_tracking_username = ann\nmlflow_tracking_password = {SECRET}%\n")
        environ = {"HOME": str(tmp_path)}
        assert MlflowCredentials.from_environ(environ) == MlflowCredentials("ann", f"{SECRET}%")
        assert MlflowCredentials.from_environ({**environ, "MLFLOW_TRACKING_USERNAME": "ben"}).username == "ben"
        for content in ("", "no section", "[other]\nx = 1"):
            file.write_text(content)
            assert MlflowCredentials.from_environ(environ) == MlflowCredentials()

    def test_credentials_come_from_the_url_and_are_not_shown(self, replay: Replay) -> None:
        url = replay.url.replace("//", f"//ann:{SECRET}%40x@")
        server = MlflowRestClient(url, None, QUICK)
        server.get("registered-models/get", name="fraud")
        assert replay.headers[-1]["Authorization"] == basic("ann", f"{SECRET}@x")
        assert (server.place, SECRET in repr(server)) == (replay.url, False)
        server.close()

    def test_the_workspace_is_sent_as_a_header(self, replay: Replay) -> None:
        ask(replay, MlflowCredentials.from_environ({"MLFLOW_WORKSPACE": "risk"}))
        assert replay.headers[-1]["X-MLFLOW-WORKSPACE"] == "risk"

    def test_credentials_are_never_shown(self) -> None:
        assert SECRET not in repr(MlflowCredentials("ann", SECRET, SECRET))
        with pytest.raises(RegistryError) as caught:
            ask_unreachable(f"http://ann:{SECRET}@127.0.0.1:1")
        assert SECRET not in str(caught.value) + repr(caught.value.__cause__) + repr(caught.value.__context__)

    @pytest.mark.parametrize("status", [301, 302, 307])
    def test_a_redirect_to_another_place_is_not_followed(self, replay: Replay, status: int) -> None:
        elsewhere = Replay()
        try:
            replay.rules["registered-models/get"] = lambda h: h.say(status, b"", Location=elsewhere.url + h.path)
            with pytest.raises(RegistryUnavailable, match="redirects to another place") as caught:
                ask(replay, MlflowCredentials("ann", SECRET))
            assert elsewhere.requests == []
            assert elsewhere.url in str(caught.value)
        finally:
            elsewhere.close()

    @pytest.mark.parametrize("to", ["https://x\x1b[2J/", "http://[", "ftp://x/", "http://x:99999/", "gopher://x"])
    def test_an_odd_redirect_is_refused_in_one_sentence(self, replay: Replay, to: str) -> None:
        replay.rules["registered-models/get"] = lambda h: h.say(302, b"", Location=to)
        with pytest.raises(RegistryUnavailable):
            ask(replay)

    def test_a_redirect_on_the_same_server_is_followed_with_the_credentials(self, replay: Replay) -> None:
        replay.rules["registered-models/get"] = lambda h: h.say(302, b"", Location="/there")
        replay.rules["/there"] = lambda h: h.say(200, {"registered_model": {}})
        assert ask(replay, MlflowCredentials("ann", SECRET)) == {"registered_model": {}}
        assert "Authorization" in replay.headers[-1]

    @pytest.mark.parametrize(
        ("url", "to", "same"),
        [
            ("http://mlflow.corp/api", "https://mlflow.corp/api", True),
            ("http://mlflow.corp:5000/api", "https://mlflow.corp/api", False),
            ("http://mlflow.corp/api", "https://mlflow.corp:8443/api", False),
            ("http://mlflow.corp/api", "https://elsewhere/api", False),
            ("https://mlflow.corp/api", "http://mlflow.corp/api", False),
        ],
    )
    def test_a_redirect_to_the_tls_of_the_same_host_is_followed(self, url: str, to: str, same: bool) -> None:
        assert same_server(url, to) is same

    def test_a_server_on_this_machine_may_name_itself_otherwise(self, replay: Replay) -> None:
        path = "/api/2.0/mlflow-artifacts/artifacts/m"
        replay.rules["artifacts/m"] = lambda h: h.say(200, b"here")
        port = urlsplit(replay.url).port
        other = Replay()
        client = MlflowRestClient(f"http://localhost:{port}")
        try:
            assert b"".join(client.read_artifact(f"http://127.0.0.1:{port}{path}", lambda: 5.0)) == b"here"
            with pytest.raises(RegistryUnavailable, match="leads inside"):
                list(client.read_artifact(other.url.replace("localhost", "127.0.0.1") + path, lambda: 5.0))
            assert other.requests == []
        finally:
            client.close()
            other.close()

    def test_redirects_in_a_circle_end(self, replay: Replay) -> None:
        replay.rules["registered-models/get"] = lambda h: h.say(302, b"", Location=h.path)
        with pytest.raises(RegistryUnavailable, match="again and again"):
            ask(replay)

    def test_a_source_takes_no_credentials_to_another_host(self, replay: Replay) -> None:
        elsewhere = Replay()
        server = MlflowRestClient(replay.url, MlflowCredentials("ann", SECRET), QUICK)
        for one in (replay, elsewhere):
            one.rules["artifacts"] = lambda h: h.say(200, {})
        try:
            place = server.artifact_url(f"mlflow-artifacts://{elsewhere.url.removeprefix('http://')}/0/absent")
            assert server.list_artifacts(place) == []
            assert elsewhere.requests
            assert "Authorization" not in elsewhere.headers[-1]
            server.list_artifacts(server.artifact_url("mlflow-artifacts:/0/absent"))
            assert "Authorization" in replay.headers[-1]
        finally:
            server.close()
            elsewhere.close()

    @pytest.mark.parametrize("status", [401, 403])
    def test_refused_credentials_are_denied_without_a_retry(self, replay: Replay, status: int) -> None:
        replay.rules["get"] = lambda h: h.say(status, b"You are not\nallowed", "text/plain")
        with pytest.raises(RegistryDenied, match=f"refuses access \\({status}\\): You are not allowed") as caught:
            ask(replay, MlflowCredentials("ann", SECRET))
        assert "MLFLOW_TRACKING_USERNAME" in caught.value.hint
        assert SECRET not in str(caught.value)
        assert len(replay.requests) == 1  # asking again would not help


def ask_unreachable(url: str) -> None:
    MlflowRestClient(url, None, CallTimeouts(1, 1, retries=0)).get("registered-models/get", name="fraud")


class TestFailures:
    def test_a_closed_port_is_unreachable(self) -> None:
        with pytest.raises(RegistryUnavailable, match=r"http://127.0.0.1:1 cannot be reached: .*refused\.") as caught:
            ask_unreachable("http://127.0.0.1:1")
        assert "Errno" not in caught.value.message
        assert "nothing is known about its models" in caught.value.hint
        assert "curl http://127.0.0.1:1/health" in caught.value.hint

    def test_an_unknown_host_is_unreachable(self) -> None:
        with pytest.raises(RegistryUnavailable, match=r"Failed to resolve 'no\.such\.invalid'"):
            ask_unreachable("http://no.such.invalid:5000")

    def test_a_silent_server_is_given_up_in_time(self) -> None:
        with socket.socket() as silent:
            silent.bind(("127.0.0.1", 0))
            silent.listen(1)
            server = MlflowRestClient(
                f"http://127.0.0.1:{silent.getsockname()[1]}", None, CallTimeouts(5, 0.2, retries=1000)
            )
            began = time.monotonic()
            with pytest.raises(RegistryUnavailable, match="does not answer in time"):
                server.get("x")
            assert time.monotonic() - began < 20  # it is not asked a second time
            server.close()

    def test_tls_to_a_plain_server_fails_as_such(self, replay: Replay) -> None:
        with pytest.raises(RegistryUnavailable, match="TLS fails"):
            ask(replay, url=replay.url.replace("http:", "https:"))

    @pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
    def test_a_passing_failure_is_tried_again(self, replay: Replay, status: int) -> None:
        def recover(handler: Handler) -> None:
            if len(replay.requests) < 3:
                handler.say(status, {"error_code": "INTERNAL_ERROR", "message": "busy"}, Retry_After="3600")
            else:
                handler.say(200, {"registered_model": {}})

        replay.rules["registered-models/get"] = recover
        assert ask(replay) == {"registered_model": {}}

    def test_a_connection_that_breaks_is_made_anew(self, replay: Replay) -> None:
        """As when a server closes a kept connection in the moment that it is used."""

        def break_once(handler: Handler) -> None:
            if len(replay.requests) > 1:
                handler.say(200, {"registered_model": {}})
            handler.close_connection = True

        replay.rules["registered-models/get"] = break_once
        assert ask(replay) == {"registered_model": {}}

    def test_a_lasting_failure_is_given_up_after_some_tries(self, replay: Replay) -> None:
        replay.rules["registered-models/get"] = lambda h: h.say(500, {"error_code": "X", "message": "Broken."})
        with pytest.raises(RegistryUnavailable, match=r"answers with status 500: Broken\.") as caught:
            ask(replay)
        assert caught.value.message.endswith(": Broken.")
        assert len(replay.requests) == 3

    def test_a_refusal_is_not_tried_again(self, replay: Replay) -> None:
        answer = {"error_code": "INVALID_PARAMETER_VALUE", "message": "No."}
        replay.rules["registered-models/get"] = lambda h: h.say(400, answer)
        with pytest.raises(RegistryRefused) as caught:
            ask(replay)
        assert (caught.value.error_code, caught.value.status) == ("INVALID_PARAMETER_VALUE", 400)
        assert len(replay.requests) == 1

    def test_an_address_without_mlflow_is_not_found(self, replay: Replay) -> None:
        with pytest.raises(RegistryNotFound, match="no MLflow tracking server"):
            ask(replay, url=f"{replay.url}/some/prefix")
        assert replay.requests[-1][1].startswith("/some/prefix/api/2.0/mlflow/")

    @pytest.mark.parametrize(
        ("content", "kind"),
        [
            (b"<html>log in", "text/html"),
            (b"", "application/json"),
            (b"[1]", "application/json"),
            (b'{"a": ', "application/json"),
            (b"\xff\xfe", "application/json"),
            (b'{"a":' * 100_000, "application/json"),
        ],
    )
    def test_an_answer_that_is_no_json_object_is_an_error(self, replay: Replay, content: bytes, kind: str) -> None:
        replay.rules["get"] = lambda h: h.say(200, content, kind)
        with pytest.raises(RegistryUnavailable, match=f"not answer like an MLflow server \\({kind}\\)"):
            ask(replay)

    def test_an_answer_that_breaks_off_is_unreachable(self, replay: Replay) -> None:
        def break_off(handler: Handler) -> None:
            handler.send_response(200)
            handler.send_header("Content-Length", "1000")
            handler.end_headers()
            handler.wfile.write(b'{"registered_model"')
            handler.close_connection = True

        replay.rules["get"] = break_off
        with pytest.raises(RegistryUnavailable, match="cannot be reached"):
            ask(replay)

    def test_an_answer_without_end_is_cut(self, replay: Replay) -> None:
        replay.rules["get"] = lambda h: h.say(200, b" " * 5_000_000)
        with pytest.raises(RegistryUnavailable, match="more than"):
            ask(replay, answer_limit=10_000)

    def test_redirects_without_end_are_given_up(self, replay: Replay) -> None:
        replay.rules["get"] = lambda h: h.say(302, b"", Location=h.path)
        with pytest.raises(RegistryUnavailable, match="redirect"):
            ask(replay)
        assert len(replay.requests) < 10

    @pytest.mark.parametrize("files", [3, [3], None])
    def test_listings_of_another_form_are_an_error(self, replay: Replay, files: Any) -> None:
        replay.rules["artifacts"] = lambda h: h.say(200, {"files": files})
        server = MlflowRestClient(replay.url, None, QUICK)
        with pytest.raises(RegistryUnavailable, match="lists artifacts"):
            server.list_artifacts(server.artifact_url("mlflow-artifacts:/x"))
        server.close()


def test_connections_are_kept(replay: Replay) -> None:
    server = MlflowRestClient(replay.url, None, QUICK)
    for _ in range(5):
        server.get("registered-models/get", name="fraud")
    assert replay.connections == 1
    server.close()


def test_a_proxy_is_used_where_the_environment_names_one(replay: Replay, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("no_proxy", "NO_PROXY", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("http_proxy", replay.url)
    replay.rules["registered-models/get"] = lambda h: h.say(200, {"through": "the proxy"})
    assert ask(replay, url="http://mlflow.invalid:5000") == {"through": "the proxy"}
    assert replay.requests[-1][1].startswith("http://mlflow.invalid:5000/api/2.0/mlflow/")
    monkeypatch.setenv("no_proxy", "mlflow.invalid")
    with pytest.raises(RegistryUnavailable, match="resolve"):
        ask(replay, url="http://mlflow.invalid:5000")


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the certificate")
class TestTls:
    @pytest.fixture
    def certificate(self, replay: Replay, tmp_path: Path) -> Path:
        """Signed by nobody that anybody knows; the server uses it from now on."""
        made, key = tmp_path / "server.pem", tmp_path / "key.pem"
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
             "-keyout", key, "-out", made, "-days", "2", "-subj", "/CN=localhost", "-addext",
             "subjectAltName=IP:127.0.0.1"],
            check=True, capture_output=True, timeout=60,
        )  # fmt: skip
        replay.use_tls(made, key)
        return made

    def test_an_unknown_certificate_is_refused(self, replay: Replay, certificate: Path) -> None:
        with pytest.raises(RegistryUnavailable, match="certificate is not trusted"):
            ask(replay)
        assert replay.requests == []

    def test_a_named_certificate_or_insecure_tls_is_accepted(
        self, replay: Replay, certificate: Path, recwarn: pytest.WarningsRecorder
    ) -> None:
        for environ in (
            {"MLFLOW_TRACKING_SERVER_CERT_PATH": str(certificate)},
            {"MLFLOW_TRACKING_INSECURE_TLS": "true"},
        ):
            assert "registered_model" in ask(replay, MlflowCredentials.from_environ(environ))
        assert not recwarn.list


class TestAddresses:
    @pytest.mark.parametrize(
        "url", ["http://", "http://h:port", "http://h:5000/#/models", "http://h/?x=1", "http://h:99999", "http://[::1"]
    )
    def test_an_address_that_cannot_be_used_is_refused(self, url: str) -> None:
        with pytest.raises(ConfigError):
            open_registry(url)

    def test_artifact_urls_are_below_the_address(self) -> None:
        server = MlflowRestClient("https://mlflow.example:8443/team/", None)
        base = "https://mlflow.example:8443/team/api/2.0/mlflow-artifacts/artifacts"
        assert server.artifact_url("mlflow-artifacts:/1/a b/c%20d") == f"{base}/1/a%20b/c%20d"
        assert server.artifact_url("mlflow-artifacts://other:80/1").startswith("https://other:80/team/api/2.0/")
        server.close()

    def test_unusable_certificate_settings_are_refused(self, tmp_path: Any) -> None:
        with pytest.raises(ConfigError, match="certificate"):
            MlflowRestClient("https://h", MlflowCredentials(server_certificate=str(tmp_path / "none.pem")))
        with pytest.raises(ConfigError, match="cannot be combined"):
            MlflowCredentials.from_environ(
                {"MLFLOW_TRACKING_INSECURE_TLS": "true", "MLFLOW_TRACKING_SERVER_CERT_PATH": "x"}
            )
