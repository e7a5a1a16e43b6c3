"""What every registry finds alike, by MLflow's grammar, a page at a time."""

from __future__ import annotations

import pytest

from penstock.errors import SearchInvalid, TrackingInvalid
from penstock.registry import NewVersion, Registry
from penstock.registry.entries import ModelQuery, VersionQuery


def models(registry: Registry, filter: str = "", *order_by: str, limit: int = 100) -> list[str]:
    """Names, over all pages."""
    found, token = [], ""
    while True:
        page = registry.find_models(ModelQuery(filter, order_by, limit, token))
        assert len(page) <= limit
        found += [model.name for model in page]
        token = page.next_token
        if not token:
            return found


def versions(registry: Registry, filter: str = "", *order_by: str, limit: int = 100) -> list[str]:
    found, token = [], ""
    while True:
        page = registry.find_versions(VersionQuery(filter, order_by, limit, token))
        found += [f"{version.name}/{version.version}" for version in page]
        token = page.next_token
        if not token:
            return found


@pytest.fixture
def filled(registry: Registry) -> Registry:
    return fill(registry)


def fill(registry: Registry) -> Registry:
    """Models B, a, b and a prompt; b has three versions, a one."""
    registry.create_model("b", tags={"team": "risk", "a key": "x'y"})
    registry.create_model("a", tags={"team": "Risk"})
    registry.create_model("B")
    registry.create_model("greeting", tags={"mlflow.prompt.is_prompt": "true"})
    for run in ("r1", "r2", "r3"):
        tags = {"run": run, "slow": "yes"} if run == "r2" else {"run": run}
        registry.register("b", NewVersion("x", run_id=run, origin=f"s3://bucket/{run}", tags=tags))
    registry.register("a", NewVersion("gs://bucket/a", run_id="r1"))
    registry.register("greeting", NewVersion("dummy-source", tags={"mlflow.prompt.is_prompt": "true"}))
    return registry


class TestSearching:
    def test_models_come_by_name_byte_by_byte_and_prompts_are_not_among_them(self, filled: Registry) -> None:
        assert models(filled) == ["B", "a", "b"]
        assert models(filled, limit=1) == ["B", "a", "b"]
        assert models(filled, "tags.`mlflow.prompt.is_prompt` = 'true'") == ["greeting"]
        assert models(filled, "name LIKE '%' AND tag.`mlflow.prompt.is_prompt` != 'true'") == ["B", "a", "b"]

    def test_models_are_found_by_names_and_tags(self, filled: Registry) -> None:
        assert models(filled, "name = 'b'") == ["b"]
        assert models(filled, "name ILIKE 'B%'") == ["B", "b"]
        assert models(filled, "name LIKE 'B%'") == ["B"]
        assert models(filled, "name IN ('a', 'b', 'c')") == ["a", "b"]
        assert models(filled, "tags.team = 'risk'") == ["b"]
        assert models(filled, "tags.team ILIKE 'RISK'") == ["a", "b"]
        assert models(filled, "tags.team != 'risk'") == ["a"]

    def test_a_filter_of_as_many_comparisons_as_may_be_finds_models_and_versions(self, filled: Registry) -> None:
        def long_filter(comparison: str) -> str:
            return " AND ".join(comparison.format(place) for place in range(500))

        assert models(filled, long_filter("tags.team != 'x{}'")) == ["a", "b"]
        assert models(filled, long_filter("tags.none{} = 'x'")) == []
        assert models(filled, long_filter("name ILIKE 'b'")) == ["B", "b"]
        assert versions(filled, long_filter("tags.run != 'x{}'"), "version_number ASC") == ["b/1", "b/2", "b/3"]
        assert versions(filled, long_filter("tags.none{} = 'x'")) == []

    def test_models_are_sorted_by_times(self, filled: Registry) -> None:
        filled.describe("b", "changed")
        filled.describe("B", "changed")
        assert models(filled, "", "last_updated_timestamp DESC", limit=1) == ["B", "b", "a"]

    def test_versions_come_by_their_last_change_and_prompts_are_not_among_them(self, filled: Registry) -> None:
        assert versions(filled) == ["a/1", "b/3", "b/2", "b/1"]
        filled.describe("b", "changed", "1")
        assert versions(filled, limit=1) == ["b/1", "a/1", "b/3", "b/2"]
        assert versions(filled, "tags.`mlflow.prompt.is_prompt` = 'true'") == ["greeting/1"]

    def test_versions_are_found_by_what_they_are(self, filled: Registry) -> None:
        assert versions(filled, "name = 'b'", "version_number ASC", limit=2) == ["b/1", "b/2", "b/3"]
        assert versions(filled, "run_id = 'r1'", "name ASC") == ["a/1", "b/1"]
        assert versions(filled, "run_id IN ('r2', 'r3')", "version_number DESC") == ["b/3", "b/2"]
        assert versions(filled, "source_path = 's3://bucket/r2'") == ["b/2"]
        assert versions(filled, "source_path LIKE 'gs:%'") == ["a/1"]
        assert versions(filled, "version_number > 1 AND name = 'b'", "version_number DESC") == ["b/3", "b/2"]
        assert versions(filled, "tags.slow = 'yes' AND tags.run = 'r2'") == ["b/2"]

    def test_pages_have_all_that_models_have(self, filled: Registry) -> None:
        filled.promote("b", "2", "champion", by="ann")
        assert filled.find_models(ModelQuery("name = 'b'")).items == (filled.model("b"),)
        found = filled.find_versions(VersionQuery("name = 'b'", ("version_number ASC",))).items
        assert list(found) == filled.versions("b")
        assert found[1].aliases == ("champion",)

    def test_what_cannot_be_read_is_refused(self, filled: Registry) -> None:
        for query in (ModelQuery("name ~ 'x'"), ModelQuery(order_by=("size",)), ModelQuery(page_token="x")):
            with pytest.raises(SearchInvalid):
                filled.find_models(query)
        token = filled.find_models(ModelQuery(limit=1)).next_token
        with pytest.raises(SearchInvalid, match="another query"):
            filled.find_models(ModelQuery("name = 'b'", page_token=token))
        for limit in (0, -1, 1001):
            with pytest.raises(TrackingInvalid, match="max_results"):
                filled.find_models(ModelQuery(limit=limit))
        with pytest.raises(SearchInvalid):
            filled.find_versions(VersionQuery("stage = 'None'"))
        with pytest.raises(TrackingInvalid):
            filled.find_versions(VersionQuery(limit=200_001))


@pytest.mark.ours
def test_what_is_deleted_is_not_found(filled: Registry) -> None:
    filled.delete("b", "2")
    filled.delete("a")
    assert versions(filled, "", "version_number ASC") == ["b/1", "b/3"]
    assert models(filled) == ["B", "b"]


@pytest.mark.ours
def test_what_mlflows_own_server_does_not_find_is_found(filled: Registry) -> None:
    """It takes no quote in a text, and does not sort models by when they were made."""
    assert models(filled, "tags.`a key` = 'x''y' AND name != 'a'") == ["b"]
    assert models(filled, "", "creation_timestamp DESC", limit=2) == ["B", "a", "b"]
