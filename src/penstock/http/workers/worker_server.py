"""The HTTP server of a worker."""

from __future__ import annotations

import asyncio
import signal
import socket

from penstock.http.run import RunOptions, Server
from penstock.http.service import Application, Service
from penstock.http.workers.accepting import Acceptor
from penstock.machine.exit_limit import ExitLimit


class WorkerServer(Server):
    """A server that takes connections only once it may, from a socket that it shares with other workers.

    Ctrl-C reaches every process of a terminal; only the supervisor acts on it.
    """

    signals = (signal.SIGTERM,)

    def __init__(
        self,
        app: Application,
        service: Service,
        options: RunOptions,
        acceptor: Acceptor,
        limit: ExitLimit | None = None,
    ) -> None:
        super().__init__(app, service, options, limit)
        self._acceptor = acceptor
        self.ready = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self.server_state.connections = self._acceptor.connections
        await super().startup(sockets)
        self.ready.set()

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
