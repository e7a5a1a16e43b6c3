"""A real Prometheus scrapes real gateways: every expression of the dashboard and the rules finds something, nothing
fires while all is well, and every alert fires for a real fault."""

from __future__ import annotations

import math
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import Any

import httpx
import pandas as pd
import pytest

from penstock.access.credentials import digest_of
from penstock.package.save import save_model
from penstock.publishing import publish
from penstock.registry import Registry, open_registry
from server.conftest import ServerProcess
from server.test_swap import registry as moving_registry
from server.worker_processes import workers_of
from services.mlflow_servers import free_port
from services.prometheus import TOKEN, Prometheus
from services.tools import require_tool
from support.observability import gateway_alerts, gateway_questions

pytestmark = pytest.mark.services

# A number below zero is a fault of the model's; any other one is how many seconds it thinks.
MODEL = """
import time


def predict(inputs, params):
    seconds = float(inputs["seconds"].max())
    if seconds < 0:
        raise ValueError("this model does not like that")
    time.sleep(seconds)
    return inputs["seconds"].tolist()
"""

# What finds nothing while all is well, and why.
EMPTY_WHILE_ALL_IS_WELL = {
    "panel Refused versions by reason": "nothing was refused",
    **{f"alert {rule['alert']}": "a fault makes it" for rule in gateway_alerts()},
}


class Traffic:
    """Threads that ask one model without end; `seconds` is what is sent to it."""

    def __init__(
        self, url: str, body: Callable[[float], dict[str, Any]], threads: int = 2, pause: float = 0.05
    ) -> None:
        self.seconds = 0.0
        self._url = url
        self._body = body
        self._pause = pause
        self._ending = threading.Event()
        self._threads: list[threading.Thread] = []
        self.more(threads)

    def more(self, threads: int) -> None:
        for _ in range(threads):
            thread = threading.Thread(target=self._ask, daemon=True)
            thread.start()
            self._threads.append(thread)

    def _ask(self) -> None:
        with httpx.Client(timeout=60) as client:
            while not self._ending.wait(self._pause):
                with suppress(httpx.TransportError):  # a gateway that was killed
                    client.post(self._url, json=self._body(self.seconds))

    def close(self) -> None:
        self._ending.set()
        for thread in self._threads:
            thread.join(30)


class Scene:
    """Five gateways, most under light load: `moving`, of two workers, follows a registry, and no namespace is said of
    it; `faulty` has models that do what they are told; `calm` is one process with one small model, `reading` another
    that is sent large bodies, and `configured` a third that has its model from a settings file and another registry,
    and asks for tokens."""

    def __init__(
        self, place: Path, prometheus: Prometheus, registry: Registry, identity: Path, stack: ExitStack
    ) -> None:
        self.place = place
        self.prometheus = prometheus
        self.registry = registry
        self._stack = stack
        self.launched: list[ServerProcess] = []
        source = place / "told.py"
        source.write_text(MODEL)
        example = pd.DataFrame({"seconds": [0.0, 0.0]})
        told = save_model(source, place / "told", example=example).path
        self.moving = self.launch("moving", "--registry", place / "registry", "-w", 2, "--poll-interval", "0.2")
        self.faulty = self.launch(
            f"raises={told}", f"sleeps={told}", "--trust-code", "--concurrency", 1, "--max-queue-rows", 8
        )
        self.calm = self.launch(identity)
        self.reading = self.launch(identity, "--reader-memory", "64MiB")
        self.aliases = open_registry(str(place / "aliases"))
        stack.callback(self.aliases.close)
        publish(self.aliases, "aliased", identity, alias="production", by="test")
        self.settings = place / "settings.toml"  # not penstock.toml, which all would read
        self.settings.write_text('[models.aliased]\nmodel = "aliased"\n')
        self.tokens = place / "tokens"
        self.tokens.write_text(f"prometheus metrics {digest_of(TOKEN)}\n")
        following = ("--registry", place / "aliases", "--poll-interval", "0.2", "--tokens", self.tokens)
        self.configured = self.launch("--config", self.settings, *following)
        for server in (self.moving, self.faulty, self.calm, self.reading, self.configured):
            server.wait_ready()
        self.calm_instance = self.calm.url.removeprefix("http://")
        prometheus.watch(self.moving.url)
        prometheus.watch(self.faulty.url, namespace="ml")
        prometheus.watch(self.calm.url, namespace="ml")
        prometheus.watch(self.reading.url, namespace="large")
        prometheus.watch(self.configured.url, namespace="told")
        rows = {"inputs": [[1.0, 2.0], [3.0, 4.0]]}
        self._ask(f"{self.moving.url}/invocations", lambda _: rows)
        self._ask(f"{self.calm.url}/invocations", lambda _: {"inputs": [[1.0, 2.0, 3.0]]})
        self.raising = self._ask(f"{self.faulty.url}/models/raises/invocations", _told)
        self.sleeping = self._ask(f"{self.faulty.url}/models/sleeps/invocations", _told)

    def launch(self, *arguments: object, port: int = 0) -> ServerProcess:
        environment = {k: v for k, v in os.environ.items() if not k.startswith(("PENSTOCK_", "MLFLOW_", "OTEL_"))}
        server = ServerProcess([*map(str, arguments), "--port", str(port)], environment, self.place)
        self._stack.callback(server.stop)
        self.launched.append(server)
        return server

    def _ask(self, url: str, body: Callable[[float], dict[str, Any]]) -> Traffic:
        traffic = Traffic(url, body)
        self._stack.callback(traffic.close)
        return traffic


def _told(seconds: float) -> dict[str, Any]:
    return {"dataframe_split": {"columns": ["seconds"], "data": [[seconds]]}}


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory, identity_onnx_package: Path) -> Iterator[Scene]:
    program = require_tool("prometheus", debian="prometheus")
    place = tmp_path_factory.mktemp("scene")
    with ExitStack() as stack:
        registry = next(made := moving_registry.__wrapped__(place))  # type: ignore[attr-defined]
        stack.callback(lambda: next(made, None))
        prometheus = stack.enter_context(closing(Prometheus(program, place)))
        yield Scene(place, prometheus, registry, identity_onnx_package, stack)


@pytest.fixture
def large_bodies(scene: Scene) -> Iterator[None]:
    """More than an event loop reads, so that there are readers to speak of."""
    large = {"inputs": [[1.0, 2.0, 3.0]] * 25_000}
    with closing(Traffic(f"{scene.reading.url}/invocations", lambda _: large, threads=1, pause=0.5)):
        yield


@pytest.mark.usefixtures("large_bodies")
def test_every_expression_finds_something(scene: Scene) -> None:
    prometheus = scene.prometheus
    scene.registry.promote("moving", "2", by="test")
    prometheus.until(
        lambda: bool(prometheus.query('rate(penstock_requests_total{model="moving", version="2"}[10s]) > 0')),
        "version 2 answers",
    )
    for asked in gateway_questions():
        expression = asked.filled("10s", "10m")
        if asked.where in EMPTY_WHILE_ALL_IS_WELL:
            prometheus.query(expression)  # which raises where it is none
            continue

        def numbers(expression: str = expression) -> bool:
            return any(not math.isnan(float(sample["value"][1])) for sample in prometheus.query(expression))

        prometheus.until(numbers, f"{asked.where} has a number: {expression}", 20)


def test_variables_narrow_what_is_shown(scene: Scene) -> None:
    asked = next(q for q in gateway_questions() if q.where == "panel Requests by model and version")
    for chosen, models in (
        ({"namespace": "ml"}, {"raises", "sleeps", "identity"}),
        ({"namespace": "(ml|other)", "model": "(raises|moving)"}, {"raises"}),
        ({"version": "2"}, {"moving"}),
    ):
        expression = asked.expression
        for name, value in chosen.items():
            expression = expression.replace(f"${name}", value)
        found = scene.prometheus.query(type(asked)(asked.where, expression).filled("10s"))
        assert {sample["metric"].get("model") for sample in found} - {None} == models


def test_nothing_fires_while_all_is_well(scene: Scene) -> None:
    scene.prometheus.until_evaluated()
    scene.prometheus.until(lambda: not scene.prometheus.firing(), "nothing fires")
    # Before there was anything to scrape, it rightly said so; and a busy machine is late for real, for a moment.
    alerts = {name for name, seen in scene.prometheus.fired.items() if seen}
    assert alerts <= {"PenstockAbsent", "PenstockLoopBlocked", "PenstockSlow"}
    scene.prometheus.fired.clear()


@pytest.fixture(scope="module")
def faults(scene: Scene) -> Iterator[None]:
    """All at once; each goes on until its alert has fired."""
    prometheus = scene.prometheus

    def break_the_models() -> None:
        scene.raising.seconds = -1.0
        scene.sleeping.seconds = 1.3
        scene.sleeping.more(14)

    def break_the_versions() -> None:
        scene.registry.promote("moving", "3", by="test")  # which does not repeat its answers
        prometheus.until_fired("PenstockSwapFailing")
        (scene.place / "registry").rename(scene.place / "away")
        prometheus.until_fired("PenstockRegistryStale")
        while not (prometheus.seen("PenstockWorkerRestarts") and prometheus.seen("PenstockWorkersMissing")):
            if len(workers := workers_of(scene.moving)) == 2:
                os.kill(workers[-1], signal.SIGKILL)
            time.sleep(0.5)

    def kill_a_model_process() -> None:
        prometheus.until_fired("PenstockQueueFull")  # the models' own faults come first
        while not prometheus.seen("PenstockModelProcessRestarts"):
            # Those alone that serve: one that is killed whenever it starts is left alone for minutes.
            for model in httpx.get(f"{scene.faulty.url}/models").json()["models"]:
                described = httpx.get(f"{scene.faulty.url}/models/{model['name']}").json()
                for process in described["versions"][0]["processes"]:
                    if process["state"] == "ready":
                        os.kill(process["pid"], signal.SIGKILL)
            time.sleep(1)

    def send_more_than_readers_may_hold() -> None:
        texts = {"inputs": ["some text"] * 2_000_000}
        while not prometheus.seen("PenstockReaderKills"):
            assert httpx.post(f"{scene.reading.url}/invocations", json=texts, timeout=30).status_code == 413
            time.sleep(0.5)  # to make the body takes as long as to refuse it, and others need the machine, too

    def break_the_process() -> None:
        process = scene.calm.process.pid
        while not prometheus.seen("PenstockLoopBlocked", instance=scene.calm_instance):
            os.kill(process, signal.SIGSTOP)
            time.sleep(0.5)
            os.kill(process, signal.SIGCONT)
            time.sleep(0.2)
        scene.calm.process.kill()

    def take_the_ground_away() -> None:
        scene.aliases.remove_alias("aliased", "production", by="test")
        scene.settings.write_text("no settings at all")
        scene.tokens.write_text("no tokens at all")

    def wait_for_a_registry() -> None:
        port = free_port()
        nowhere = f"http://127.0.0.1:{free_port()}"
        scene.launch("models:/any@champion", "--registry", nowhere, port=port)
        prometheus.watch(f"http://127.0.0.1:{port}", namespace="new")

    breaking = (
        break_the_models, break_the_versions, break_the_process, wait_for_a_registry, take_the_ground_away,
        send_more_than_readers_may_hold, kill_a_model_process,
    )  # fmt: skip
    with ThreadPoolExecutor(len(breaking)) as pool:
        done = [pool.submit(fault) for fault in breaking]
        yield
        for fault in done:
            fault.result(120)


EXPECTED: dict[str, dict[str, Any]] = {
    "PenstockErrorsFast": {"namespace": "ml", "model": "raises", "severity": "critical"},
    "PenstockErrorsSlow": {"namespace": "ml", "model": "raises", "severity": "warning"},
    "PenstockSlow": {"namespace": "ml", "model": "sleeps"},
    "PenstockRefusing": {"namespace": "ml", "model": "sleeps"},
    "PenstockQueueFull": {"namespace": "ml", "model": "sleeps"},
    "PenstockReaderKills": {"namespace": "large", "reason": "memory"},
    "PenstockSwapFailing": {"model": "moving"},
    "PenstockRegistryStale": {"job": "penstock", "model": "moving"},
    "PenstockAliasMissing": {"namespace": "told", "model": "aliased"},
    "PenstockConfigRefused": {"namespace": "told"},
    "PenstockTokensRefused": {"namespace": "told"},
    "PenstockWorkerRestarts": {"job": "penstock"},
    "PenstockWorkersMissing": {"job": "penstock"},
    "PenstockModelProcessRestarts": {"namespace": "ml"},
    "PenstockLoopBlocked": {"namespace": "ml"},
    "PenstockDown": {"namespace": "ml", "job": "penstock"},
    "PenstockNoneReady": {"namespace": "new", "job": "penstock", "severity": "critical"},
    "PenstockGatewayNotReady": {"namespace": "new"},
}


@pytest.mark.parametrize("alert", EXPECTED)
def test_each_alert_fires_for_a_real_fault(scene: Scene, faults: None, alert: str) -> None:
    calm = alert in ("PenstockLoopBlocked", "PenstockDown")
    of_calm: dict[str, Any] = {"instance": scene.calm_instance} if calm else {}
    fired = scene.prometheus.until_fired(alert, **EXPECTED[alert], **of_calm)
    _said_well(fired)


def test_panels_that_were_empty_are_filled_after_a_fault(scene: Scene, faults: None) -> None:
    asked = next(q for q in gateway_questions() if q.where == "panel Refused versions by reason")
    scene.prometheus.until_fired("PenstockSwapFailing")
    scene.prometheus.until(lambda: bool(scene.prometheus.query(asked.filled("1m"))), "the refused version shows")


def test_the_alert_of_absence_fires_when_everything_is_gone(scene: Scene, faults: None) -> None:
    assert EXPECTED.keys() | {"PenstockAbsent"} == {rule["alert"] for rule in gateway_alerts()}
    for server in scene.launched:
        server.process.kill()
    _said_well(scene.prometheus.until_fired("PenstockAbsent"))


def _said_well(alert: dict[str, Any]) -> None:
    notes = alert["annotations"]
    for text in notes.values():
        assert text
        assert "{{" not in text
        assert "<" not in text  # <no value>, <error expanding template: …>
    assert notes["runbook_url"].endswith(alert["labels"]["alertname"].lower())
