"""What a program's calls share: where runs go, the experiment they are filed under, the runs that are active in each
thread, and the outboxes; and how all of it ends with the program."""

from __future__ import annotations

import atexit
import logging
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

from penstock.errors import ConfigError
from penstock.fluent.outbox.leftovers import BackgroundDelivery
from penstock.fluent.outbox.outbox import Outbox
from penstock.fluent.outbox.pauses import Pauses
from penstock.fluent.outbox.segment import Segment
from penstock.fluent.settings import TrackingSettings, uri_of
from penstock.fluent.transport.interface import TrackingTransport
from penstock.fluent.transport.opening import open_transport
from penstock.store_places import refuse_mistyped

if TYPE_CHECKING:
    from penstock.fluent.runs import ActiveRun

log = logging.getLogger("penstock.tracking")

# How long the end of a run, and of the program, waits for delivery. What is not delivered by then is in the spool.
FLUSH_SECONDS = 30.0
# How long a program that ends waits for a server that did not answer before, and for a call that delivers what an
# earlier program left.
_STOP_SECONDS = 5.0


@dataclass(frozen=True)
class Destination:
    """One place that runs go to."""

    settings: TrackingSettings
    transport: TrackingTransport
    outbox: Outbox
    leftovers: BackgroundDelivery


class _ThreadRuns(threading.local):
    """Each thread has its own."""

    def __init__(self) -> None:
        self.runs: list[ActiveRun] = []
        self.uri = ""  # of the place that calls are for now, if not the session's


class Session:
    """There is one in a process; see `current_session()`."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        # The whole mutable state: what the program said, and what was opened, by URI, here and before a fork.
        self.uri = ""
        self.experiment_id = ""
        self.experiment_name = ""
        self.last_run_id = ""
        self._destinations: dict[str, Destination] = {}
        self._of_parents: list[Destination] = []
        self._inherited: list[ActiveRun] = []
        self.threads = _ThreadRuns()

    def __repr__(self) -> str:
        return f"<Session: {len(self._destinations)} destinations>"

    @property
    def active(self) -> list[ActiveRun]:
        """The active runs of this thread, the innermost last."""
        return self.threads.runs

    @property
    def own(self) -> list[ActiveRun]:
        """Those of them that this process began: what a parent began before a fork, the parent ends."""
        return [run for run in self.active if run not in self._inherited]

    def set_uri(self, uri: str) -> None:
        """Later runs go there. An experiment that was set is one of the place before. Raises ConfigError
        for what is no place."""
        refuse_mistyped(uri)
        with self._lock:
            if uri != self.uri:
                self.experiment_id = self.experiment_name = ""
            self.uri = uri

    @contextmanager
    def at(self, uri: str) -> Iterator[None]:
        """Inside, this thread's calls are for another place; for none if it is empty."""
        before = self.threads.uri
        self.threads.uri = uri or before
        try:
            yield
        finally:
            self.threads.uri = before

    def destination(self, uri: str = "") -> Destination:
        """Of a URI that was in use before, or of that which counts now. Raises ConfigError for one that cannot be
        used."""
        uri = uri_of(os.environ, uri or self.threads.uri or self.uri)
        if (known := self._destinations.get(uri)) is not None:
            return known
        settings = TrackingSettings.from_environ(os.environ, uri)
        with self._lock:
            found = self._destinations.get(uri)
            if found is None:
                found = self._destinations[uri] = _opened(settings)
            return found

    def close(self) -> None:
        """Delivers what waits, everywhere; says where what could not be delivered is."""
        with self._lock:
            destinations, self._destinations = list(self._destinations.values()), {}
        for each in destinations:
            each.leftovers.close(_STOP_SECONDS)
            if not each.outbox.close(_STOP_SECONDS if each.outbox.is_failing else FLUSH_SECONDS):
                log.warning(
                    "What was logged to %s is in %s, and is delivered by the next program that starts a run there, or "
                    "by: penstock runs sync",
                    *(each.transport.place, each.outbox.spool),
                )

    def forget(self) -> None:
        """After a fork, in the child: runs go on, over connections and a segment of its own."""
        self._lock = threading.RLock()
        self._inherited = list(self.active)
        for each in self._destinations.values():
            each.outbox.forget()
            each.leftovers.forget()
        # Kept, and not used: a database that a child closes is closed for its parent, too.
        self._of_parents += self._destinations.values()
        self._destinations = {}


_session = Session()


def current_session() -> Session:
    return _session


def place_of(uri: str) -> str:
    """A URI as it may be written down: without credentials, and not relative to a directory that will be another."""
    if "://" not in uri:
        return os.path.abspath(uri[5:] if uri.startswith("file:") else uri)
    parts = urlsplit(uri)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def _opened(settings: TrackingSettings) -> Destination:
    transport = open_transport(settings)
    if not settings.is_server:
        _end_before_threads()

    def make_segment() -> Segment:
        return Segment.create(settings.spool, place_of(settings.uri))

    outbox = Outbox(transport, make_segment, settings.spool_bytes, Pauses())
    leftovers = BackgroundDelivery(transport, settings.spool, place_of(settings.uri))
    return Destination(settings, transport, outbox, leftovers)


def _end() -> None:
    """Ends the runs of the thread that ends: as failed where an error ended the program."""
    failed = getattr(sys, "last_type", None) is not None and not hasattr(sys, "ps1")
    for run in reversed(_session.own):
        run.end("FAILED" if failed else "FINISHED", wait=False)
    _session.close()


def _end_before_threads() -> None:
    """What an embedded store works with ends before what is registered with `atexit` is called; pools of threads end
    where this is registered, the last one first."""
    import_module("concurrent.futures.thread")  # whose own end is registered by now
    _end_with_threads()


def _end_with_threads() -> None:
    """Also where nobody calls what is registered with `atexit`: a child of `multiprocessing` ends its threads alone."""
    if (register := getattr(threading, "_register_atexit", None)) is not None:
        with suppress(RuntimeError):  # the end has begun
            register(_end)


def _forget() -> None:
    with suppress(ConfigError, OSError):
        _session.forget()
    _end_with_threads()


atexit.register(_end)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
