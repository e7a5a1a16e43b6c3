"""Which transport a tracking URI asks for."""

from __future__ import annotations

from urllib.parse import unquote

from penstock.fluent.settings import TrackingSettings
from penstock.fluent.transport.embedded_exchange import EmbeddedExchange
from penstock.fluent.transport.http_exchange import HttpExchange
from penstock.fluent.transport.interface import TrackingTransport
from penstock.fluent.transport.rest import RestTransport


def open_transport(settings: TrackingSettings) -> TrackingTransport:
    """Over HTTP to a server, else into an embedded store. Connects to nothing. Raises ConfigError."""
    if settings.is_server:
        return RestTransport(HttpExchange(settings))
    store = settings.uri
    if store.startswith("file:"):
        store = unquote(store[5:])
        store = store[2:] if store.startswith("//") else store
    return RestTransport(EmbeddedExchange(store, settings.artifacts))
