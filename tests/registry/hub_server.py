"""A hub that listens, in a thread of this process, for registries that ask an MLflow server over HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from threading import Thread
from typing import Any, cast

import uvicorn

from penstock.artifacts import PackageCache
from penstock.artifacts.opening import open_tree
from penstock.assembly.hub import HubOptions, open_stores
from penstock.http.run import bind, url_of
from penstock.hub.access.gate import HubGate
from penstock.hub.access.tokens import TokenTable
from penstock.hub.app import HubApp
from penstock.hub.handlers.table import ROUTES
from penstock.hub.service import Hub, OpenedStores
from penstock.metrics import HubMetrics
from penstock.mlflow_api.client import CallTimeouts, MlflowRestClient
from penstock.registry import AliasMove, ModelVersion, NewVersion, Registry
from penstock.registry.history import NewMove
from penstock.registry.hub.store import HubRegistry
from penstock.registry.memory import MemoryRegistry
from penstock.registry.mlflow.store import MlflowRegistry
from penstock.tracking.memory.store import MemoryTrackingStore


class RegistersPaths(MlflowRegistry):
    """An MLflow server takes only what it finds itself: the contract's packages lie in a bucket here."""

    def _insert_version(self, name: str, new: NewVersion, *, at: datetime) -> ModelVersion:
        source = new.source if ":" in new.source or new.source == "dummy-source" else f"s3://bucket/{new.source}"
        return super()._insert_version(name, replace(new, source=source), at=at)


class AsksHub(HubRegistry):
    """A client of a hub in this process, whose clock a test may set, and past whose checks it may go."""

    behind: Registry

    @property
    def _clock(self) -> Callable[[], datetime]:
        return self.behind._clock

    @_clock.setter
    def _clock(self, clock: Callable[[], datetime]) -> None:
        if hasattr(self, "behind"):
            self.behind._clock = clock

    def _move_alias(self, move: NewMove) -> AliasMove:
        return self.behind._move_alias(move)


class ListeningHub:
    """One server for all tests; `emptied` puts a hub behind it for one of them."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = Thread(target=self._loop.run_forever, daemon=True)
        self._listening = bind("127.0.0.1", 0)
        self.url = url_of(self._listening)
        # What the test at hand asks, and the registry behind it.
        self._app: Any = None
        self.behind: Registry = MemoryRegistry()

    def start(self) -> None:
        self._thread.start()
        config = uvicorn.Config(self._asked, interface="asgi3", lifespan="off", log_config=None, ws="none")
        self._server = uvicorn.Server(config)
        self._serving = asyncio.run_coroutine_threadsafe(self._server.serve([self._listening]), self._loop)

    def close(self) -> None:
        self._server.should_exit = True
        self._serving.result(30)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @contextmanager
    def emptied(self, place: Path, clock: Callable[[], datetime]) -> Iterator[str]:
        """Its URL, with nothing behind it but memory."""
        hub = asyncio.run_coroutine_threadsafe(self._opened(place, clock), self._loop).result(30)
        yield self.url
        asyncio.run_coroutine_threadsafe(hub.close(), self._loop).result(30)

    @contextmanager
    def over(self, place: Path) -> Iterator[str]:
        """Its URL, with a hub behind it as `penstock hub` starts one in a directory: its tokens are asked for."""

        def open_them() -> OpenedStores:
            opened = open_stores(HubOptions(str(place / "store"), str(place / "artifacts")))
            self.behind = opened.registry
            return opened

        hub = asyncio.run_coroutine_threadsafe(self._started(open_them, False), self._loop).result(30)
        yield self.url
        self._app = None
        asyncio.run_coroutine_threadsafe(hub.close(), self._loop).result(30)

    async def _opened(self, place: Path, clock: Callable[[], datetime]) -> Hub:
        def open_them() -> OpenedStores:
            self.behind = registry = MemoryRegistry(artifact_root=str(place), clock=clock)
            nobodys = TokenTable(cast(Any, None))  # a hub for everybody asks for no tokens
            return OpenedStores(MemoryTrackingStore(), registry, nobodys, open_tree(str(place)))

        return await self._started(open_them, True)

    async def _started(self, open_them: Callable[[], OpenedStores], open_to_everybody: bool) -> Hub:
        gate = HubGate(asks_for_tokens=False)
        hub = Hub(open_them, gate, HubMetrics(), open_to_everybody=open_to_everybody)
        await hub.start()
        self._app = HubApp(ROUTES, hub, gate)
        return hub

    async def _asked(self, scope: Any, receive: Any, send: Any) -> None:
        if self._app is None:  # it is away, as behind a proxy
            await send({"type": "http.response.start", "status": 502, "headers": []})
            await send({"type": "http.response.body", "body": b""})
            return
        await self._app(scope, receive, send)


def registry_of(url: str, cache: Path) -> RegistersPaths:
    return RegistersPaths(MlflowRestClient(url, timeouts=CallTimeouts(retries=0)), PackageCache(cache))


def hub_registry_of(url: str, cache: Path, behind: Registry) -> AsksHub:
    registry = AsksHub(MlflowRestClient(url, timeouts=CallTimeouts(retries=0)), PackageCache(cache))
    registry.behind = behind
    return registry
