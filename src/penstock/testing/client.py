"""A gateway in this process for tests: the real application and the real models, spoken to without a socket."""

from __future__ import annotations

import asyncio
import os
import tempfile
import threading
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, TypeVar

from starlette.datastructures import Headers
from starlette.types import ASGIApp

from penstock.assembly.gateway import app_of, make_gateway
from penstock.assembly.named_models import model_text
from penstock.assembly.options import serving_options_of
from penstock.assembly.references import parse_models, registry_of
from penstock.client.blocking import BlockingCalls
from penstock.client.calls import Line
from penstock.client.exchange import Ask, GatewayReply, Lost, Outcome
from penstock.config import Settings, registry_url, settings_of
from penstock.errors import Closing, ConfigError, MalformedInput
from penstock.loading.python_data import json_body
from penstock.metrics import Metrics
from penstock.payload import shortened
from penstock.registry.names import check_name
from penstock.serving.gateway import Gateway
from penstock.serving.servable import Servable
from penstock.serving.served_model import ServedModel
from penstock.testing.asgi import HttpAnswer, LoopBridge, call
from penstock.testing.fakes import AnswerFunction, FakeModel

T = TypeVar("T")

# Seconds; a test that waits for longer has hung.
_TIMEOUT = 300.0

# Settings of what is not here: sockets, worker processes, their end, and the log of a process.
_OF_PROCESSES = frozenset(
    {
        "admin_port",
        "drain_delay",
        "drain_timeout",
        "host",
        "keep_alive",
        "log_format",
        "log_level",
        "port",
        "worker_timeout",
        "workers",
    }
)


class GatewayClient(BlockingCalls):
    """Speaks to a gateway of this process: answers, errors and arguments of `predict` and of what describes models are
    those of `penstock.Client`, so that it can be given to what calls a gateway. `request`, `get` and `post` are plain
    HTTP. Made by `client`."""

    def __init__(
        self,
        app: ASGIApp,
        gateway: Gateway,
        loop: asyncio.AbstractEventLoop,
        *,
        token: str | None = None,
        timeout: float = 60.0,
    ) -> None:
        # Nothing is tried again: a test waits for nothing that does not come by itself.
        super().__init__(Line("http://testserver", token, timeout=timeout, retries=0))
        self.app = LoopBridge(app, loop)
        self.gateway = gateway
        self._inner = app
        self._loop = loop
        # The whole mutable state: whether the `with` statement has ended.
        self._closed = False

    def request(
        self,
        method: str,
        path: str,
        *,
        json: Any = None,
        body: bytes | str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> HttpAnswer:
        """The answer to one request, whatever its status. `json` is sent as JSON; `body` are bytes, or text that is
        sent as UTF-8, and its Content-Type is the caller's to say."""
        self._check_open()
        sent = dict(headers or {})
        if json is not None:
            body = json_body(json)
            sent.setdefault("Content-Type", "application/json")
        content = body.encode() if isinstance(body, str) else body or b""
        if not isinstance(content, bytes | bytearray | memoryview):
            raise MalformedInput(f"body must be bytes or text, not {shortened(body)}.", hint="For JSON: json=….")
        return self._run(call(self._inner, method, path, sent, bytes(content)), _TIMEOUT)

    def get(self, path: str, *, headers: Mapping[str, str] | None = None) -> HttpAnswer:
        return self.request("GET", path, headers=headers)

    def post(
        self, path: str, *, json: Any = None, body: bytes | str | None = None, headers: Mapping[str, str] | None = None
    ) -> HttpAnswer:
        """
        >>> answer = gateway.post("/invocations", json={"dataframe_records": [{"a": 1.0, "b": 2.0}]})
        >>> answer.status, answer.json(), answer.headers["x-model-version"]
        (200, {"predictions": [3.0]}, "1f0c2b7a9d3e")
        """
        return self.request("POST", path, json=json, body=body, headers=headers)

    def close(self) -> None:
        """Refuses further requests; the end of the `with` statement does that."""
        self._closed = True

    def _send(self, question: Ask) -> Outcome:
        self._check_open()
        work = call(self._inner, question.method, question.path, question.headers, question.body)
        try:
            answer = self._run(work, question.seconds)
        except TimeoutError:
            return Lost("its answer takes too long", sent=True, late=True)
        return GatewayReply(answer.status, Headers(answer.headers), answer.body)

    def _check_open(self) -> None:
        """Raises Closing."""
        if self._closed:
            raise Closing("The test gateway is closed.", hint="Send requests inside its with statement.")

    def _run(self, work: Coroutine[Any, Any, T], seconds: float) -> T:
        """Raises TimeoutError."""
        running = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return running.result(seconds)
        except TimeoutError:
            running.cancel()
            raise

    def __repr__(self) -> str:
        return f"<GatewayClient of {self.gateway!r}>"


@contextmanager
def client(
    *models: str | Path,
    fakes: Mapping[str, FakeModel | AnswerFunction] | None = None,
    registry: str | Path | None = None,
    **settings: Any,
) -> Iterator[GatewayClient]:
    """A client of a gateway that serves these models, each named as `penstock serve` takes it (`NAME=MODEL` among
    them), and `fakes` by name: FakeModels, or the functions alone. `settings` are those of `penstock serve`, by their
    names in penstock.toml: `trust_code=True`, `timeout=2.0`, `api_token="secret"`. Variables and penstock.toml have no
    say, but for the registry's place, which is found as `load_model` finds it.

    Everything is as in a server but for the sockets and processes, so that settings of these are refused. Raises what
    loading raises, and ConfigError for settings that do not exist, cannot be so, or do not go together.

        >>> with testing.client("./model", trust_code=True) as gateway:
        ...     gateway.predict([{"a": 1.0, "b": 2.0}, {"a": 3.0, "b": 4.0}])
        [3.0, 7.0]
    """
    texts = tuple(model_text(model) for model in models)
    faked = _fakes_of(fakes)
    if not texts and not faked:
        raise ConfigError("There are no models to serve.", hint="Give at least one model or fake.")
    if refused := sorted(settings.keys() & _OF_PROCESSES):
        raise ConfigError(
            f"A test gateway has no {', '.join(refused)}: it opens no socket and starts no worker processes.",
            hint="Omit the setting.",
        )
    place = registry_url(None if registry is None else str(registry), os.environ)
    chosen = settings_of({**settings, "models": texts, "registry": place})
    with ExitStack() as stack:
        loop = stack.enter_context(_running_loop())
        references = parse_models(chosen, faked)
        opened = stack.enter_context(registry_of(chosen, references))
        metrics = Metrics(process=False)
        made = [
            _served_fake(name, fake, chosen, metrics, Path(stack.enter_context(tempfile.TemporaryDirectory())))
            for name, fake in faked.items()
        ]

        async def start() -> Gateway:
            gateway = make_gateway(
                chosen, references, opened, metrics=metrics, more=[fake() for fake in made], tidy=False
            )
            await gateway.start()
            return gateway

        gateway = asyncio.run_coroutine_threadsafe(start(), loop).result(_TIMEOUT)
        app = app_of(chosen, gateway)

        async def end() -> None:
            await gateway.close()
            app.close()

        stack.callback(lambda: asyncio.run_coroutine_threadsafe(end(), loop).result(_TIMEOUT))
        secret = chosen.api_token
        speaking = GatewayClient(
            app, gateway, loop, token=secret.get_secret_value() if secret else None, timeout=chosen.timeout
        )
        stack.callback(speaking.close)
        yield speaking


def _fakes_of(fakes: Mapping[str, FakeModel | AnswerFunction] | None) -> dict[str, FakeModel]:
    """Raises ConfigError, NameInvalid."""
    if fakes is not None and not isinstance(fakes, Mapping):
        raise ConfigError(f"fakes must be a mapping of names to FakeModels, not {shortened(fakes)}.")
    made = {}
    for name, fake in (fakes or {}).items():
        check_name(name)
        if not isinstance(fake, FakeModel) and (isinstance(fake, type) or not callable(fake)):
            raise ConfigError(f"The fake {name!r} must be a FakeModel or a function, not {shortened(fake)}.")
        made[name] = fake if isinstance(fake, FakeModel) else FakeModel(fake)
    return made


def _served_fake(
    name: str, fake: FakeModel, settings: Settings, metrics: Metrics, directory: Path
) -> Callable[[], ServedModel]:
    """Makes the served model; on the gateway's loop, as all of serving."""

    def make() -> ServedModel:
        served = ServedModel(name, metrics)
        served.swap(Servable(name, fake.version, fake.load(directory), metrics, serving_options_of(settings.of(name))))
        return served

    return make


@contextmanager
def _running_loop() -> Iterator[asyncio.AbstractEventLoop]:
    """An event loop in a thread of its own, so that plain functions can wait for what happens on it."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="penstock-testing", daemon=True)
    thread.start()
    try:
        yield loop
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()
