"""All rows of the table of routes."""

from __future__ import annotations

from collections.abc import Sequence

from penstock.hub.handlers import (
    artifacts,
    experiments,
    graphql,
    logged_models,
    metrics,
    model_versions,
    owned_artifacts,
    registered_models,
    runs,
    series,
    server,
)
from penstock.hub.registry import aliases, models, versions
from penstock.hub.routes import HubRoute

ROUTES: Sequence[HubRoute] = (
    *experiments.ROUTES,
    *runs.ROUTES,
    *metrics.ROUTES,
    *series.ROUTES,
    *logged_models.ROUTES,
    *registered_models.ROUTES,
    *model_versions.ROUTES,
    *artifacts.ROUTES,
    *owned_artifacts.ROUTES,
    *graphql.ROUTES,
    *server.ROUTES,
    *models.ROUTES,
    *versions.ROUTES,
    *aliases.ROUTES,
)
