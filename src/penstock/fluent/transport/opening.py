"""Which transport a tracking URI asks for."""

from __future__ import annotations

from penstock.fluent.settings import TrackingSettings
from penstock.fluent.transport.embedded_exchange import EmbeddedExchange
from penstock.fluent.transport.http_exchange import HttpExchange
from penstock.fluent.transport.interface import TrackingTransport
from penstock.fluent.transport.rest import RestTransport
from penstock.store_places import directory_of


def open_transport(settings: TrackingSettings) -> TrackingTransport:
    """Over HTTP to a server, else into an embedded store. Connects to nothing. Raises ConfigError."""
    if settings.is_server:
        return RestTransport(HttpExchange(settings))
    return RestTransport(EmbeddedExchange(directory_of(settings.uri), settings.artifacts))
