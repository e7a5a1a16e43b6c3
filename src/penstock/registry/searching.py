"""Models and versions as MLflow's search grammar sees them, for registries that have no database."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from penstock.mlflow_api.search.entities import MODEL_VERSIONS, REGISTERED_MODELS
from penstock.mlflow_api.search.matching import SearchedDataset
from penstock.mlflow_api.search.paging import Page, find
from penstock.mlflow_api.search.parse import parse_order_by
from penstock.registry.entries import ModelQuery, ModelVersion, RegisteredModel, VersionQuery


def milliseconds(at: datetime | None) -> int:
    """Since 1970; 0 where nobody knows."""
    return 0 if at is None else int(at.timestamp() * 1000)


def find_models(seen: Iterable[RegisteredModel], query: ModelQuery) -> Page[RegisteredModel]:
    """Raises SearchInvalid, and TrackingInvalid for a limit that is out of bounds."""
    order = parse_order_by(REGISTERED_MODELS, query.order_by)
    page = find(REGISTERED_MODELS, [_Seen(each) for each in seen], query=query, order=order, mark=())
    return Page(tuple(each.entry for each in page), page.next_token)


def find_versions(seen: Iterable[ModelVersion], query: VersionQuery) -> Page[ModelVersion]:
    """Raises SearchInvalid, and TrackingInvalid for a limit that is out of bounds."""
    order = parse_order_by(MODEL_VERSIONS, query.order_by)
    page = find(MODEL_VERSIONS, [_SeenVersion(each) for each in seen], query=query, order=order, mark=())
    return Page(tuple(each.entry for each in page), page.next_token)


class _Seen:
    """A model to the grammar."""

    def __init__(self, entry: RegisteredModel) -> None:
        self.entry = entry

    def attribute(self, name: str) -> str | int | float | None:
        match name:
            case "name":
                return self.entry.name
            case "creation_timestamp":
                return milliseconds(self.entry.created_at)
            case _:
                return milliseconds(self.entry.updated_at)

    def tag(self, key: str) -> str | None:
        return self.entry.tags.get(key)

    def metric(self, key: str, dataset_name: str = "", dataset_digest: str = "") -> float | None:
        return None

    def param(self, key: str) -> str | None:
        return None

    def datasets(self) -> Iterable[SearchedDataset]:
        return ()


class _SeenVersion:
    """A version to the grammar."""

    def __init__(self, entry: ModelVersion) -> None:
        self.entry = entry

    def attribute(self, name: str) -> str | int | float | None:
        entry = self.entry
        match name:
            case "name":
                return entry.name
            case "version_number":
                return int(entry.version)
            case "run_id":
                return entry.run_id
            case "source_path":
                return entry.origin or entry.source
            case "creation_timestamp":
                return milliseconds(entry.created_at)
            case _:
                return milliseconds(entry.updated_at)

    def tag(self, key: str) -> str | None:
        return self.entry.tags.get(key)

    def metric(self, key: str, dataset_name: str = "", dataset_digest: str = "") -> float | None:
        return None

    def param(self, key: str) -> str | None:
        return None

    def datasets(self) -> Iterable[SearchedDataset]:
        return ()
