"""`penstock serve` on a real MLflow registry: promotions by MLflow's own client, and a server that goes and returns."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from services.mlflow_servers import Client, Server, clean_environment, client_of, require_mlflow, running

pytestmark = pytest.mark.services

BODY = json.dumps({"inputs": {"x": [[1.0, 2.0, 3.0]]}})


class Gateway:
    """The command as a process. `log` is what it has said on stderr so far."""

    def __init__(self, place: Path, *arguments: str, environment: dict[str, str]) -> None:
        self._log = place / f"gateway-{time.monotonic_ns()}.log"
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "penstock", "serve", *arguments, "--port", "0", "--poll-interval", "0.2"],
                stdout=subprocess.PIPE, stderr=log, text=True, cwd=place,
                env={**clean_environment(), "PENSTOCK_CACHE": str(place / "cache"), **environment},
            )  # fmt: skip
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line.startswith("serving on http://"), self.log
        self.port = int(line.rpartition(":")[2])

    @property
    def log(self) -> str:
        return self._log.read_text()

    def ask(self, connection: http.client.HTTPConnection | None = None) -> tuple[int, str, bytes]:
        if connection is None:
            with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)) as once:
                return self.ask(once)
        connection.request("POST", "/invocations", BODY, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        return answer.status, answer.headers.get("X-Model-Version", ""), answer.read()

    def close(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(60)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return code


class Traffic:
    """One request after another, until told to stop; every answer that is not the expected one is kept."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._stop = threading.Event()
        self.versions: list[str] = []
        self.wrong: list[object] = []
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._gateway.port, timeout=30)
        while not self._stop.wait(0.01):
            try:
                status, version, content = self._gateway.ask(connection)
            except Exception as error:
                self.wrong.append(error)
                return
            if status != 200 or json.loads(content) != {"predictions": {"y": [[1.0, 2.0, 3.0]]}}:
                self.wrong.append((status, content))
            if version not in self.versions[-1:]:
                self.versions.append(version)
        connection.close()

    def __enter__(self) -> Traffic:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()


def until(condition: Callable[[], bool], what: str, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, what
        time.sleep(0.05)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    require_mlflow()
    place = tmp_path_factory.mktemp("mlflow")
    with running(place, "--serve-artifacts", "--artifacts-destination", str(place / "artifacts")) as started:
        yield started


@pytest.fixture(scope="module")
def client(server: Server) -> Iterator[Client]:
    with client_of(server.url) as started:
        yield started


def test_promotions_are_followed_without_a_wrong_answer(server: Server, client: Client, tmp_path: Path) -> None:
    for width in (3, 3, 4, 3):
        client.log(name="fraud", width=width)
    client.alias(name="fraud", alias="champion", version="1")
    gateway = Gateway(tmp_path, "-m", "models:/fraud@champion", environment={"MLFLOW_TRACKING_URI": server.url})
    try:
        with Traffic(gateway) as traffic:
            until(lambda: traffic.versions == ["1"], "version 1 answers")
            client.alias(name="fraud", alias="champion", version="2")
            until(lambda: traffic.versions[-1] == "2", "version 2 answers")

            client.alias(name="fraud", alias="champion", version="3")  # takes four columns
            until(lambda: "version 3 cannot be served" in gateway.log, "version 3 is refused")
            client.alias(name="fraud", alias="champion", version="1")  # back: it is still warm
            until(lambda: traffic.versions[-1] == "1", "version 1 answers again")

            server.stop()
            until(lambda: "cannot be reached" in gateway.log, "the outage is noticed")
            before = len(traffic.versions)
            server.start()
            until(lambda: "the registry answers again" in gateway.log, "the server is back")
            assert len(traffic.versions) == before
            client.alias(name="fraud", alias="champion", version="4")
            until(lambda: traffic.versions[-1] == "4", "version 4 answers")
        assert traffic.wrong == []
        assert traffic.versions == ["1", "2", "1", "4"]
        assert gateway.log.count("cannot be reached") == 1
        assert gateway.log.count("version 3 cannot be served; still serving version 2. The version would break") == 1
        assert "Traceback" not in gateway.log
    finally:
        code = gateway.close()
    assert code == 0


def test_each_form_of_model_is_served(server: Server, client: Client, tmp_path: Path) -> None:
    made = client.log(name="churn")
    client.stage(name="churn", version="1", stage="Production")
    environment = {"MLFLOW_TRACKING_URI": server.url}
    for model, version in (
        ("models:/churn/1", "1"),
        ("models:/churn/Production", "1"),
        ("models:/churn/latest", "1"),
        (f"models:/{made['model']}", None),
        (f"runs:/{made['run']}/model", None),
    ):
        gateway = Gateway(tmp_path, "-m", model, "--env-manager", "local", environment=environment)
        try:
            status, answering, _ = gateway.ask()
            assert status == 200
            assert version in (answering, None)
        finally:
            gateway.close()
    entries = [p for p in (tmp_path / "cache").iterdir() if (p / "digest").is_file()]
    assert len(entries) == 2  # by name and version, and by its place on the server


def test_a_model_that_is_not_there_ends_the_start(server: Server, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "penstock", "serve", "models:/absent@champion", "--port", "0"],
        capture_output=True, text=True, timeout=60, cwd=tmp_path,
        env={**clean_environment(), "MLFLOW_TRACKING_URI": server.url, "PATH": os.environ["PATH"]},
    )  # fmt: skip
    assert done.returncode == 1
    assert "There is no model 'absent'" in done.stderr
