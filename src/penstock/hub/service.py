"""The hub as a server process runs it: started, ready, drained, closed."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

from penstock.access.principal import Principal
from penstock.artifacts.trees import ArtifactTree
from penstock.errors import ConfigError, RegistryUnavailable, remedy
from penstock.hub.access.gate import HubGate
from penstock.hub.access.tokens import TableCallers, TokenTable
from penstock.hub.bodies.held import HeldBodies
from penstock.hub.context import HubContext
from penstock.hub.files.work import FileWork
from penstock.hub.registry.alias_watch import AliasWatch
from penstock.hub.registry.registrations import Registrations
from penstock.hub.run_documents import RunDocuments
from penstock.hub.stores import HubStores
from penstock.metrics import HubMetrics
from penstock.registry import Registry
from penstock.tracking.interface import TrackingStore

log = logging.getLogger("penstock.hub")

# How often it is written down which tokens were shown.
_USE_SECONDS = 60.0

# An upload to which nothing was written for so long is of a hub that was killed, here or elsewhere on the same disk.
_DRAFT_SECONDS = 86_400.0

# How often it is looked for registrations that nobody ends.
_RESUME_SECONDS = 60.0

# How often the store is asked whether something changed: how long a revoked token lets anybody in, at most.
_WATCH_SECONDS = 0.25


@dataclass(frozen=True, slots=True)
class OpenedStores:
    """What a hub stands on, over one database."""

    tracking: TrackingStore
    registry: Registry
    tokens: TokenTable
    artifacts: ArtifactTree


class Hub:
    """`open_stores` opens the stores, which may take migrations and connections; it is called in a thread. Where
    `needs_tokens`, the hub does not start without any; where `open_to_everybody`, none is ever asked for. `given` are
    callers besides those in the table, by the digest of their token. `scrape` answers for the metrics where there are
    other processes besides this one."""

    def __init__(
        self,
        open_stores: Callable[[], OpenedStores],
        gate: HubGate,
        metrics: HubMetrics,
        *,
        needs_tokens: bool = False,
        open_to_everybody: bool = False,
        given: Mapping[str, Principal] | None = None,
        scrape: Callable[[], Awaitable[bytes]] | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.metrics = metrics
        self.bodies = HeldBodies()
        self._open_stores = open_stores
        self._gate = gate
        self._needs_tokens = needs_tokens
        self._open_to_everybody = open_to_everybody
        self._given = given or {}
        self._scrape = scrape
        self._clock = clock
        # Mutable state: the stores from `start` to `close`, the tasks that watch them, whether `drain` was called.
        self._context: HubContext | None = None
        self._watching: list[asyncio.Task[None]] = []
        self.draining = False

    @property
    def waiting_for(self) -> list[str]:
        return [] if self._context is not None else ["the store"]

    def context(self) -> HubContext:
        """What handlers are given. Raises RegistryUnavailable before the start and after the end."""
        if self._context is None:
            raise RegistryUnavailable("The store is not open yet.", hint="Try again in a moment.")
        return self._context

    async def start(self) -> None:
        """Raises ConfigError where tokens are needed and there are none, and what opening the stores raises."""
        opened = await asyncio.to_thread(self._open_stores)
        stores = HubStores(opened.tracking, opened.registry)
        work = FileWork()
        context = HubContext(
            stores,
            RunDocuments(opened.tracking),
            opened.artifacts,
            work,
            Registrations(stores, opened.artifacts, work),
            AliasWatch(opened.tracking, opened.registry),
            self.metrics,
            self.bodies,
            self._scrape or partial(stores.read, self.metrics.render),
        )
        try:
            await asyncio.to_thread(opened.artifacts.sweep, self._clock() - _DRAFT_SECONDS)
            await self._admit_known(opened)
            await context.registrations.resume()
        except BaseException:
            await _close(context)
            raise
        watching = (
            self._watch(opened, context.documents),
            self._note_use(opened.tokens),
            _resume(context.registrations),
        )
        self._watching = [asyncio.create_task(each) for each in watching]
        self._context = context
        self.metrics.ready.set(1)
        self.metrics.store_up.set(1)

    async def _admit_known(self, opened: OpenedStores) -> None:
        """Raises ConfigError where tokens are needed and there are none."""
        if self._open_to_everybody:
            return
        found = await asyncio.to_thread(opened.tokens.callers)
        if not found.by_digest and not self._given:
            if self._needs_tokens:
                raise _no_token(found, opened.tracking.place)
            if found.any_made:
                log.warning(
                    "All tokens of the store are revoked: this hub lets nobody in until another is made, or until "
                    "it is started with --open-to-everybody."
                )
        self._admit(found)

    @property
    def asks_for_tokens(self) -> bool:
        return self._gate.asks_for_tokens

    def _admit(self, found: TableCallers) -> None:
        self._gate.admit({**found.by_digest, **self._given}, ask=found.any_made)

    async def until_ready(self) -> None:
        """The stores are open once `start` has returned."""

    def drain(self) -> None:
        self.draining = True
        self.metrics.ready.set(0)
        if self._context is not None:
            self._context.aliases.end()

    async def close(self) -> None:
        """Everything that was answered is kept; what was submitted is written first."""
        for each in self._watching:
            each.cancel()
        await asyncio.gather(*self._watching, return_exceptions=True)
        context, self._context = self._context, None
        if context is not None:
            await _close(context)

    async def _watch(self, opened: OpenedStores, documents: RunDocuments) -> None:
        """Lets in whom the table of tokens names, soon after it changes, whoever changes it. While the database is
        away, those who were let in last still are. A thread waits for this and nothing else."""
        thread = ThreadPoolExecutor(1, thread_name_prefix="penstock-watch")
        ask = partial(asyncio.get_running_loop().run_in_executor, thread)
        seen, up = -1, True
        try:
            while True:
                await asyncio.sleep(_WATCH_SECONDS)
                try:
                    now = await ask(opened.tracking.changes)
                    if now < seen:  # the database was restored: its changes are numbered anew
                        documents.clear()
                    if now != seen and not self._open_to_everybody:
                        self._admit(await ask(opened.tokens.callers))
                    seen = now
                except Exception as error:
                    if up:
                        log.warning("The store does not answer, and is asked again until it does: %s", error)
                    up = False
                else:
                    if not up:
                        log.info("The store answers again.")
                    up = True
                self.metrics.store_up.set(up)
        finally:
            await asyncio.to_thread(thread.shutdown)  # a look that is under way ends first

    async def _note_use(self, tokens: TokenTable) -> None:
        """Not in the thread that watches, which a database that takes no writes would keep from seeing a revocation."""
        while True:
            await asyncio.sleep(_USE_SECONDS)
            if names := self._gate.take_shown():
                try:
                    await asyncio.to_thread(tokens.note_used, sorted(names))
                except Exception as error:  # the next minute's must still be written
                    log.info("It was not written down which tokens were shown: %s", error)

    def __repr__(self) -> str:
        return f"<Hub {'open' if self._context else 'closed'}{', draining' if self.draining else ''}>"


async def _resume(registrations: Registrations) -> None:
    """Goes on with what a hub elsewhere was killed in the middle of."""
    while True:
        await asyncio.sleep(_RESUME_SECONDS)
        try:
            await registrations.resume(datetime.now(UTC))
        except Exception as error:
            log.debug("It cannot be seen whether registrations were broken off: %s", error)


async def _close(context: HubContext) -> None:
    await context.registrations.close()
    await context.aliases.close()
    context.work.close()
    await context.stores.close()


def _no_token(found: TableCallers, store: str) -> ConfigError:
    """Why a hub that other machines can reach does not start."""
    why = "all tokens of its store are revoked" if found.any_made else "there are none yet"
    return ConfigError(
        f"A hub that other machines can reach needs tokens, and {why}.",
        hint="Make one first.",
        remedy=remedy("add_token", store=store),
    )
