"""All rows of the table of routes."""

from __future__ import annotations

from collections.abc import Sequence

from penstock.hub.handlers import artifacts, experiments, logged_models, metrics, runs, server
from penstock.hub.routes import HubRoute

ROUTES: Sequence[HubRoute] = (
    *experiments.ROUTES,
    *runs.ROUTES,
    *metrics.ROUTES,
    *logged_models.ROUTES,
    *artifacts.ROUTES,
    *server.ROUTES,
)
