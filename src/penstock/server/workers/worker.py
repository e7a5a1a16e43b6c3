"""A worker process: the gateway and the server of any other, and a channel to the supervisor, who says what to do."""

from __future__ import annotations

import asyncio
import itertools
import logging
import signal
import socket
from collections.abc import Callable, Mapping

from penstock.errors import Closing, PenstockError, WorkerLost
from penstock.http.run import RunOptions, Server
from penstock.http.service import Application
from penstock.http.workers.accepting import Acceptor
from penstock.metrics.aggregate import to_plain
from penstock.server.workers.messages import (
    Accept,
    Agree,
    Answers,
    Ask,
    Beat,
    Begun,
    Channel,
    Collect,
    Company,
    Drain,
    Exposition,
    Failed,
    GaveUp,
    Mark,
    Message,
    Note,
    Numbers,
    Proven,
    Scrape,
    Serve,
    Stop,
    Tell,
    Unserve,
    WorkerStarted,
)
from penstock.serving.fleet.fleet_plan import PlannedVersion
from penstock.serving.fleet.worker_model import WorkerModel
from penstock.serving.gateway import Gateway
from penstock.serving.load_failure import LoadFailure

log = logging.getLogger("penstock.server")

_SCRAPE_TIMEOUT = 5.0


class WorkerServer(Server):
    """A server that takes connections when it is told to, from a socket that it shares with other workers.

    Ctrl-C reaches every process of a terminal; the supervisor's word is what counts then.
    """

    signals = (signal.SIGTERM,)

    def __init__(self, app: Application, gateway: Gateway, options: RunOptions, acceptor: Acceptor) -> None:
        super().__init__(app, gateway, options)
        self._acceptor = acceptor
        self.up = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self.server_state.connections = self._acceptor.connections
        await super().startup(sockets)
        self.up.set()

    def accept(self) -> None:
        if not self.should_exit:
            self._acceptor.start(self._protocol)

    def _protocol(self) -> asyncio.Protocol:
        """What uvicorn would make for a connection that it accepted itself."""
        kind = self.config.http_protocol_class
        assert not isinstance(kind, str)
        return kind(config=self.config, server_state=self.server_state, app_state=self.lifespan.state)  # type: ignore[call-arg]

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._acceptor.close()
        await super().shutdown(sockets)


class Worker:
    """Carries out the supervisor's orders, one after the other; loads go on beside them."""

    def __init__(
        self,
        channel: Channel,
        gateway: Gateway,
        server: WorkerServer,
        models: Mapping[str, WorkerModel],
        make: Callable[[str, str], WorkerModel],
    ) -> None:
        self._channel = channel
        self._gateway = gateway
        self._server = server
        self._make = make
        # The whole mutable state: models; loads under way, scrapes that wait, whether the first versions have settled.
        self._models = dict(models)
        self._loads: set[asyncio.Task[None]] = set()
        self._scrapes: dict[int, asyncio.Future[str]] = {}
        self._ids = itertools.count(1)
        self._settled = False
        gateway.exposition = self.exposition
        for model in self._models.values():
            self._listen(model)

    def _listen(self, model: WorkerModel) -> None:
        name = model.served.name
        model.served.on_failed = lambda version, why: self._channel.send(GaveUp(name, version, why))

    async def follow_orders(self) -> None:
        """Until the supervisor is gone; then the worker goes too."""
        self._channel.send(WorkerStarted())
        async for order in self._channel:
            await self._carry_out(order)
        if not self._gateway.draining:
            log.error("The supervisor is gone.")
        self._server.drain(0)

    async def _carry_out(self, order: Message) -> None:
        match order:
            case Ask():
                load = asyncio.create_task(self._load(order))
                self._loads.add(load)
                load.add_done_callback(self._loads.discard)
            case Tell(model, current, previous, candidate):
                self._models[model].tell(current, previous, candidate)
                self._channel.send(Answers(model, current))
                await self._settle_once()
            case Stop(model):
                self._models[model].stop()
            case Mark(model, stale):
                self._models[model].served.stale = stale
            case Note(model, failure):
                self._models[model].served.failure = None if failure is None else LoadFailure(**failure)
            case Agree(model, version):
                self._models[model].served.agreed = version
            case Serve(model, alias):
                self._models[model] = made = self._make(model, alias)
                self._listen(made)
                self._gateway.add(made.served)
            case Unserve(model):
                self._models.pop(model).close()
                self._gateway.remove(model)
                self._channel.send(order)
            case Begun(pattern):
                self._gateway.begun(pattern)
                await self._settle_once()
            case Beat():
                self._channel.send(order)
            case Accept():
                self._server.accept()
            case Company(serving, wanted):
                self._gateway.company = (serving, wanted)
            case Drain(delay):
                self._server.drain(delay)
            case Collect():
                self._channel.send(await self._gateway.scrape(self.numbers))
            case Exposition(id, text):
                if (scrape := self._scrapes.get(id)) is not None and not scrape.done():
                    scrape.set_result(text)
            case _:
                log.error("The supervisor said what only a worker says: %s", type(order).__name__)

    async def _load(self, order: Ask) -> None:
        name, version = order.model, order.version
        model = self._models[name]
        try:
            await model.ask(PlannedVersion(version, order.path, order.digest))
        except Closing:  # it was told to serve the model no more
            return
        except PenstockError as error:
            self._channel.send(Failed(name, version, error.code, error.message, error.hint))
        except Exception as error:
            log.exception("%s: version %s cannot be loaded.", name, version)
            self._channel.send(Failed(name, version, PenstockError.code, f"{type(error).__name__}: {error}", ""))
        else:
            self._channel.send(Proven(name, version))

    async def _settle_once(self) -> None:
        if self._gateway.ready and not self._settled:
            self._settled = True
            await self._gateway.start()  # it has no sources of its own: what is loaded is settled

    def numbers(self) -> Numbers:
        return Numbers(to_plain(self._gateway.metrics.collect()))

    async def exposition(self) -> bytes:
        """The metrics of all workers. Raises WorkerLost where the supervisor does not answer: half the truth would
        look like counters that go backwards."""
        id = next(self._ids)
        self._scrapes[id] = asyncio.get_running_loop().create_future()
        self._channel.send(Scrape(id))
        try:
            return (await asyncio.wait_for(self._scrapes[id], _SCRAPE_TIMEOUT)).encode()
        except TimeoutError:
            raise WorkerLost("The supervisor does not answer.") from None
        finally:
            del self._scrapes[id]

    async def close(self) -> None:
        """The last word, then the end of what goes on here."""
        self._channel.send(self.numbers())
        for model in self._models.values():
            model.close()
        await asyncio.gather(*self._loads, return_exceptions=True)
        await self._channel.close()


async def work(
    app: Application,
    gateway: Gateway,
    models: Mapping[str, WorkerModel],
    make: Callable[[str, str], WorkerModel],
    *,
    channel: Channel,
    acceptor: Acceptor,
    options: RunOptions,
) -> None:
    """Serves as the supervisor says, until it says to end, a signal does, or it is gone. `make` makes a model that it
    names later, of its name and alias."""
    server = WorkerServer(app, gateway, options, acceptor)
    worker = Worker(channel, gateway, server, models, make)
    serving = asyncio.create_task(server.serve(sockets=[]))
    await server.up.wait()
    orders = asyncio.create_task(worker.follow_orders())
    try:
        await asyncio.wait([serving, orders], return_when=asyncio.FIRST_COMPLETED)
        if orders.done():
            orders.result()
        await serving
    finally:
        server.stop()
        await serving
        await worker.close()
        orders.cancel()
        await asyncio.gather(orders, return_exceptions=True)
        await gateway.close()
        app.close()
