"""Versions that are registered while another caller deletes or renames their model: none comes back or stays half."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from hub.conftest import HubCalls, hub_over
from penstock.artifacts.trees import ArtifactTree
from penstock.assembly.hub import migrate_store
from penstock.errors import ModelNotFound
from penstock.hub.registry import registrations, versions
from penstock.hub.version_packages import Patience, read_package
from penstock.hub.version_sources import FoundSource, GivenSource, SourceFinder
from penstock.registry.entries import PackageFacts
from penstock.registry.hub.calls import OWN_API

MANIFEST = b"flavors:\n  python_function:\n    loader_module: x\nmodel_uuid: x\n"
DIGEST = "ab" * 32


@pytest_asyncio.fixture(params=["sqlite", "postgresql"])
async def hub(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[HubCalls]:
    store = str(tmp_path / "store")
    if request.param == "postgresql":
        store = request.getfixturevalue("postgres_url")
        migrate_store(store)
    async with hub_over(store, tmp_path / "artifacts") as calls:
        await calls.post("registered-models/create", name="fraud", description="precious")
        await calls.post("model-versions/create", name="fraud", source="s3://b/1")
        yield calls


@pytest.fixture(params=["delete", "rename"])
def change(request: pytest.FixtureRequest, hub: HubCalls) -> Callable[[], Any]:
    """What another caller does."""
    registry = hub.opened.registry
    if request.param == "delete":
        return lambda: registry.delete("fraud", by="admin")
    return lambda: registry.rename("fraud", "theft", by="admin")


def names(hub: HubCalls) -> list[tuple[str, int]]:
    return [(model.name, model.versions) for model in hub.opened.registry.models()]


async def test_a_model_that_went_before_its_version_was_written_stays_away(
    hub: HubCalls, change: Callable[[], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    find = SourceFinder.find

    def changed_meanwhile(finder: SourceFinder, given: GivenSource) -> FoundSource:
        found = find(finder, given)
        change()
        return found

    monkeypatch.setattr(SourceFinder, "find", changed_meanwhile)
    answer = await hub.post("model-versions/create", name="fraud", source="s3://b/2")
    assert (answer.status_code, answer.json()["error_code"]) == (404, "RESOURCE_DOES_NOT_EXIST")
    assert names(hub) in ([], [("theft", 1)])


async def registered_slowly(
    hub: HubCalls, monkeypatch: pytest.MonkeyPatch, change: Callable[[], Any]
) -> httpx.Response:
    """A version of a logged model, whose files are read while the change is made."""

    def read(tree: ArtifactTree, place: str, patience: Patience) -> PackageFacts | None:
        change()
        return read_package(tree, place, patience)

    monkeypatch.setattr(registrations, "read_package", read)
    made = (await hub.post("logged-models", experiment_id="0", name="model")).json()["model"]["info"]
    place = made["artifact_uri"].removeprefix("mlflow-artifacts:/")
    await hub.client.put(f"/api/2.0/mlflow-artifacts/artifacts/{place}/MLmodel", content=MANIFEST)
    source = f"models:/{made['model_id']}"
    return await hub.post("model-versions/create", name="fraud", source=source, model_id=made["model_id"])


async def test_a_version_is_whole_though_its_model_was_renamed_while_its_files_were_read(
    hub: HubCalls, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = hub.opened.registry
    answer = await registered_slowly(hub, monkeypatch, lambda: registry.rename("fraud", "theft"))
    assert answer.status_code == 200, answer.text
    told = answer.json()["model_version"]
    assert (told["name"], told["version"], told["status"]) == ("theft", "2", "READY")
    assert names(hub) == [("theft", 2)]
    known = registry.version("theft", "2")
    assert known.digest is not None
    assert (known.flavors, known.size_bytes) == (("python_function",), len(MANIFEST))
    tags = hub.opened.tracking.logged_model(known.logged_model).tags
    assert tags["mlflow.modelVersions"] == '[{"name": "theft", "version": 2}]'


async def test_a_version_goes_with_its_model_while_its_files_are_read(
    hub: HubCalls, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = hub.opened.registry
    answer = await registered_slowly(hub, monkeypatch, lambda: registry.delete("fraud"))
    assert (answer.status_code, answer.json()["error_code"]) == (404, "RESOURCE_DOES_NOT_EXIST")
    assert names(hub) == []
    with pytest.raises(ModelNotFound):
        registry.model("fraud")


async def test_a_package_that_was_sent_brings_no_model_back(
    hub: HubCalls, change: Callable[[], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though the first version of a model makes it."""
    monkeypatch.setattr(versions, "read_package", lambda tree, place, patience: PackageFacts(DIGEST))
    call = f"/{OWN_API.strip('/')}/versions/register"
    first = await hub.client.post(call, json={"name": "new", "source": f"new/{DIGEST}", "digest": DIGEST})
    assert first.status_code == 200, first.text

    def changed_meanwhile(tree: ArtifactTree, place: str, patience: Patience) -> PackageFacts:
        change()
        return PackageFacts(DIGEST)

    monkeypatch.setattr(versions, "read_package", changed_meanwhile)
    answer = await hub.client.post(call, json={"name": "fraud", "source": f"fraud/{DIGEST}", "digest": DIGEST})
    assert answer.status_code == 404, answer.text
    assert names(hub) in ([("new", 1)], [("new", 1), ("theft", 1)])
