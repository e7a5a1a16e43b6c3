"""Registrations that take long, are broken off, or meet an upload: a version is whole, or it says that it is not."""

from __future__ import annotations

import asyncio
import hashlib
import threading
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from hub.conftest import HubCalls, hub_over, until
from penstock.artifacts.trees import ArtifactTree, LocalTree, TreeEntry
from penstock.assembly.hub import migrate_store
from penstock.errors import RegistryUnavailable
from penstock.hub.registry import registrations, versions
from penstock.hub.version_packages import Patience, read_package
from penstock.package.seal import digest_of
from penstock.registry import ModelVersion, NewVersion
from penstock.registry.entries import PackageFacts
from penstock.registry.hub.calls import OWN_API

FILES = "/api/2.0/mlflow-artifacts/artifacts"
MANIFEST = b"flavors:\n  python_function:\n    loader_module: x\nmodel_uuid: x\n"
DIGEST = digest_of({"MLmodel": hashlib.sha256(MANIFEST).hexdigest()})
PLACE = f"fraud/{DIGEST}"


@pytest_asyncio.fixture
async def prepared(hub: HubCalls) -> HubCalls:
    """A hub with a model, and the files of a run that may be registered."""
    await hub.post("registered-models/create", name="fraud")
    return hub


async def logged(hub: HubCalls) -> dict[str, Any]:
    """What registers a logged model whose files are there."""
    made = (await hub.post("logged-models", experiment_id="0", name="model")).json()["model"]["info"]
    place = made["artifact_uri"].removeprefix("mlflow-artifacts:/")
    assert (await hub.client.put(f"{FILES}/{place}/MLmodel", content=MANIFEST)).status_code == 200
    return {"name": "fraud", "source": f"models:/{made['model_id']}", "model_id": made["model_id"]}


def only_version(hub: HubCalls) -> ModelVersion:
    (version,) = hub.opened.registry.versions("fraud")
    return version


def blocked(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Files are read once the event is set."""
    go_on = threading.Event()

    def read(tree: ArtifactTree, place: str, patience: Patience) -> PackageFacts | None:
        while not go_on.wait(0.01):
            patience.check()
        return read_package(tree, place, patience)

    monkeypatch.setattr(registrations, "read_package", read)
    return go_on


async def test_a_large_package_is_read_while_its_version_says_that_it_is_pending(
    prepared: HubCalls, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registrations, "ANSWER_SECONDS", 0.0)
    go_on = blocked(monkeypatch)
    wanted = await logged(prepared)
    told = (await prepared.post("model-versions/create", **wanted)).json()["model_version"]
    assert (told["status"], told["status_message"]) == ("PENDING_REGISTRATION", "The hub is reading its files.")
    refused = await prepared.post("registered-models/alias", name="fraud", alias="production", version="1")
    assert (refused.status_code, refused.json()["error_code"]) == (409, "RESOURCE_CONFLICT")
    assert "still being registered" in refused.json()["message"]
    assert "1 under way" in repr(prepared.app._hub.context().registrations)
    go_on.set()
    await until(lambda: only_version(prepared).status == "READY")
    found = only_version(prepared)
    assert (found.digest, found.flavors, found.size_bytes) == (DIGEST, ("python_function",), len(MANIFEST))
    assert found.status_message == ""
    moved = await prepared.post("registered-models/alias", name="fraud", alias="production", version="1")
    assert moved.status_code == 200


async def test_a_hub_that_ends_while_it_reads_leaves_the_rest_to_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registrations, "ANSWER_SECONDS", 0.0)
    store, artifacts = str(tmp_path / "store"), tmp_path / "artifacts"
    with monkeypatch.context() as patch:
        blocked(patch)
        async with hub_over(store, artifacts) as hub:
            await hub.post("registered-models/create", name="fraud")
            await hub.post("model-versions/create", **await logged(hub))
            assert only_version(hub).digest is None
    async with hub_over(store, artifacts) as hub:
        await until(lambda: only_version(hub).status == "READY")
        assert only_version(hub).digest == DIGEST


async def test_what_another_hub_was_killed_in_the_middle_of_is_taken_over_after_a_while(prepared: HubCalls) -> None:
    wanted = await logged(prepared)
    place = f"0/models/{wanted['model_id']}/artifacts"
    prepared.opened.registry.register("fraud", NewVersion(place, status="PENDING_REGISTRATION"))
    here = prepared.app._hub.context().registrations
    now = datetime.now(UTC)
    await here.resume(now + timedelta(minutes=10))
    assert "0 under way" in repr(here)  # somebody may be at it
    await here.resume(now + timedelta(minutes=20))
    await until(lambda: only_version(prepared).status == "READY")
    assert only_version(prepared).digest == DIGEST


async def test_files_whose_store_does_not_answer_are_read_when_it_does(
    prepared: HubCalls, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(registrations, "_LEAST_PAUSE", 0.0)
    wanted, entries, away = await logged(prepared), LocalTree.entries, [RegistryUnavailable("It is away.")] * 3

    def asked(tree: LocalTree, path: str) -> list[TreeEntry]:
        if away:
            raise away.pop()
        return entries(tree, path)

    monkeypatch.setattr(LocalTree, "entries", asked)
    told = (await prepared.post("model-versions/create", **wanted)).json()["model_version"]
    assert told["status"] == "READY"
    assert only_version(prepared).digest == DIGEST
    assert caplog.text.count("It is away.") == 3


async def test_files_that_cannot_be_read_are_registered_and_the_version_says_why(prepared: HubCalls) -> None:
    wanted = await logged(prepared)
    await prepared.client.put(f"{FILES}/0/models/{wanted['model_id']}/artifacts/MLmodel", content=b": [")
    told = (await prepared.post("model-versions/create", **wanted)).json()["model_version"]
    assert told["status"] == "READY"
    assert told["status_message"].startswith("Registered without a digest: ")
    assert only_version(prepared).digest is None


async def register(hub: HubCalls) -> httpx.Response:
    """As the command line does, once the files are there."""
    told = {"name": "fraud", "source": PLACE, "digest": DIGEST}
    return await hub.client.post(f"/{OWN_API.strip('/')}/versions/register", json=told)


class TestUploads:
    """Files that come while a version is registered, through the same hub or another one on the database."""

    @pytest_asyncio.fixture(params=["one hub", "two hubs"])
    async def pair(self, request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[tuple[HubCalls, HubCalls]]:
        if request.param == "one hub":
            async with hub_over(str(tmp_path / "store"), tmp_path / "files") as hub:
                yield hub, hub
            return
        url = request.getfixturevalue("postgres_url")
        migrate_store(url)
        async with hub_over(url, tmp_path / "files") as hub, hub_over(url, tmp_path / "files") as other:
            yield hub, other

    async def test_an_upload_that_is_to_appear_just_then_is_part_of_what_is_registered(
        self, pair: tuple[HubCalls, HubCalls], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It has seen that there is no version, and its file appears when there is one: that is waited for."""
        hub, other = pair
        await hub.post("registered-models/create", name="fraud")
        wanted = await logged(hub)
        path = f"0/models/{wanted['model_id']}/artifacts/data"
        appearing, go_on = slow_appearance(monkeypatch)
        upload = asyncio.create_task(other.client.put(f"{FILES}/{path}", content=b"late"))
        await until(appearing.is_set)
        registering = asyncio.create_task(hub.post("model-versions/create", **wanted))
        await until(lambda: hub.opened.registry.model("fraud").versions == 1)
        go_on.set()
        assert (await upload).status_code == 200
        assert (await registering).json()["model_version"]["status"] == "READY"
        assert only_version(hub).size_bytes == len(MANIFEST) + len(b"late")
        assert (await other.client.put(f"{FILES}/{path}", content=b"later")).status_code == 409
        assert (await other.client.delete(f"{FILES}/{path}")).status_code == 409

    async def test_a_package_that_changes_while_it_is_registered_is_not(
        self, pair: tuple[HubCalls, HubCalls], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        hub, other = pair
        await hub.client.put(f"{FILES}/{PLACE}/MLmodel", content=MANIFEST)
        appearing, go_on = slow_appearance(monkeypatch)
        upload = asyncio.create_task(other.client.put(f"{FILES}/{PLACE}/MLmodel", content=MANIFEST + b"\n"))
        await until(appearing.is_set)
        registering = asyncio.create_task(register(hub))
        await until(lambda: any(model.versions for model in hub.opened.registry.models()))
        go_on.set()
        assert (await upload).status_code == 200
        refused = await registering
        assert (refused.status_code, refused.json()["penstock"]["code"]) == (409, "seal_broken")
        assert hub.opened.registry.versions("fraud") == []
        await hub.client.put(f"{FILES}/{PLACE}/MLmodel", content=MANIFEST)  # as the message says
        assert (await register(hub)).status_code == 200
        assert only_version(hub).digest == DIGEST


def slow_appearance(monkeypatch: pytest.MonkeyPatch) -> tuple[threading.Event, threading.Event]:
    """The first file that is to appear does so when the second event is set; the first says that it is about to."""
    import os

    appearing, go_on, rename = threading.Event(), threading.Event(), os.rename

    def slowly(*places: Any, **given: Any) -> None:
        if not appearing.is_set():
            appearing.set()
            assert go_on.wait(10)
        rename(*places, **given)

    monkeypatch.setattr(os, "rename", slowly)
    return appearing, go_on


async def test_a_registration_that_is_cut_off_leaves_no_version(hub: HubCalls, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever sent the package may begin again."""

    def killed(tree: ArtifactTree, place: str, patience: Patience) -> PackageFacts:
        raise SystemError("killed")

    await hub.client.put(f"{FILES}/{PLACE}/MLmodel", content=MANIFEST)
    with monkeypatch.context() as patch:
        patch.setattr(versions, "read_package", killed)
        assert (await register(hub)).status_code == 500
    assert hub.opened.registry.models() == []
    assert (await register(hub)).json()["version"]["digest"] == DIGEST
