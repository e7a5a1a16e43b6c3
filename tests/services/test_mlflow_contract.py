"""The registry's contract over a real MLflow server: all that is not marked `ours`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from penstock.registry import Registry
from penstock.registry.entries import ModelQuery
from registry.hub_server import registry_of
from registry.test_contract import TestReading as ReadingContract
from registry.test_contract import TestRegistering as RegisteringContract
from registry.test_contract import TestTags as TagsContract
from registry.test_contract_aliases import TestMoving as MovingContract
from registry.test_contract_entries import TestDescribing as DescribingContract
from registry.test_contract_entries import TestModels as ModelsContract
from registry.test_contract_entries import TestRenaming as RenamingContract
from registry.test_contract_entries import TestStages as StagesContract
from registry.test_contract_searches import TestSearching as SearchingContract
from registry.test_contract_searches import fill
from services.mlflow_servers import Server, require_mlflow, running

pytestmark = pytest.mark.services


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    require_mlflow()
    with running(tmp_path_factory.mktemp("mlflow")) as started:
        yield started


@pytest.fixture
def registry(server: Server, tmp_path: Path) -> Iterator[Registry]:
    """Emptied of models and prompts."""
    with closing(registry_of(server.url, tmp_path / "cache")) as opened:
        for kept in ("", "tags.`mlflow.prompt.is_prompt` = 'true'"):
            for model in opened.find_models(ModelQuery(kept, limit=1000)):
                opened._server.send("DELETE", "registered-models/delete", name=model.name)
        yield opened


@pytest.fixture
def filled(registry: Registry) -> Registry:
    return fill(registry)


class TestReading(ReadingContract): ...


class TestRegistering(RegisteringContract): ...


class TestTags(TagsContract): ...


class TestMoving(MovingContract): ...


class TestModels(ModelsContract): ...


class TestDescribing(DescribingContract): ...


class TestRenaming(RenamingContract): ...


class TestStages(StagesContract): ...


class TestSearching(SearchingContract): ...
