"""Which transport a tracking URI asks for."""

from __future__ import annotations

from penstock.errors import ConfigError
from penstock.fluent.settings import TrackingSettings
from penstock.fluent.transport.interface import TrackingTransport
from penstock.fluent.transport.rest import RestTransport


def open_transport(settings: TrackingSettings) -> TrackingTransport:
    """Raises ConfigError."""
    if settings.is_server:
        return RestTransport(settings)
    raise ConfigError(f"{settings.uri!r} is no tracking server.", hint="Give the address of one, as http://hub:5000")
