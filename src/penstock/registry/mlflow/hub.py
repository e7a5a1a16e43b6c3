"""Penstock's own hub as the registry: it speaks MLflow's REST, and does more than that has words for."""

from __future__ import annotations

from penstock.errors import RegistryError, Remedy, Unsupported
from penstock.mlflow_api.client import HUB, MlflowRestClient


def is_hub(server: MlflowRestClient) -> bool:
    """Whether a hub answers. Asked only where something is refused, so that the refusal is true."""
    try:
        return server.server_info().get("server") == HUB
    except RegistryError:  # an MLflow of before version 3 has no answer, and one that is away says nothing
        return False


def of_store(what: str, remedy: Remedy) -> Unsupported:
    """What the hub's store can do and its REST cannot."""
    return Unsupported(
        f"A hub {what} over MLflow's REST, which has no call for it; its store does.",
        hint="Ask the store itself as the registry.",
        remedy=remedy,
    )
