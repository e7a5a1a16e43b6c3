"""A server whose models follow its settings file, put together: owner, reloader, signal."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

from penstock.assembly.live.hangup import ends_with_its_terminal, on_hangup
from penstock.assembly.live.models import LiveModels
from penstock.assembly.live.reloading import Reloader, SettingsFile
from penstock.assembly.trials import settle
from penstock.metrics import Metrics
from penstock.serving.runners.trial import Trials

log = logging.getLogger("penstock.server")


@asynccontextmanager
async def following(
    file: SettingsFile | None,
    live: LiveModels[Any],
    metrics: Metrics,
    trials: Trials,
    is_ending: Callable[[], bool],
) -> AsyncIterator[Callable[[], None]]:
    """Yields what to call once the models of the start are loaded, or waited for: changes apply from then on. The
    registry's own changes are followed from the beginning."""
    ends = ends_with_its_terminal()
    waiting = asyncio.create_task(live.wait_for_aliases())
    try:
        async with _file_followed(file, live, metrics, trials, is_ending, ends=ends) as begin:
            yield begin
    finally:
        waiting.cancel()
        with suppress(asyncio.CancelledError):
            await waiting


@asynccontextmanager
async def _file_followed(
    file: SettingsFile | None,
    live: LiveModels[Any],
    metrics: Metrics,
    trials: Trials,
    is_ending: Callable[[], bool],
    *,
    ends: bool,
) -> AsyncIterator[Callable[[], None]]:
    if file is None:
        async with on_hangup(_no_file, ends=ends):
            yield _nothing
        return
    reloader = Reloader(live, file, metrics, is_ending, on_applied=lambda: settle(trials, live))
    async with on_hangup(reloader.ask, ends=ends):
        try:
            yield reloader.begin
        finally:
            await reloader.close()
            live.close()


def _no_file() -> None:
    log.warning("SIGHUP: the server was started without a settings file, so there is nothing to read again.")


def _nothing() -> None: ...
