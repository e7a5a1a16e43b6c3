"""What every registry does alike with models without versions, descriptions, stages, names, and who changed what."""

from __future__ import annotations

import pytest

from penstock.errors import ModelExists, ModelNotFound, NameInvalid, VersionNotFound
from penstock.registry import NewVersion, Registry
from penstock.registry.entries import PackageFacts
from registry.registering import add, columns


class TestModels:
    def test_a_model_is_there_before_its_first_version(self, registry: Registry) -> None:
        made = registry.create_model("fraud", description="größer", tags={"owner": "risk"}, by="ann")
        assert (made.latest, made.versions, made.description, made.tags) == (None, 0, "größer", {"owner": "risk"})
        assert made.updated_at == made.created_at
        with pytest.raises(ModelExists):
            registry.create_model("fraud")
        assert registry.register("fraud", NewVersion("x")).version == "1"
        assert registry.model("fraud").tags == {"owner": "risk"}

    @pytest.mark.parametrize("name", ["", "a/b", "a:b", " ", ".", "..", "a" * 256, "a\n", "\ud800"])
    def test_names_that_even_mlflow_refuses_are_refused(self, registry: Registry, name: str) -> None:
        with pytest.raises(NameInvalid):
            registry.create_model(name)
        assert registry.models() == []

    def test_a_model_made_by_a_client_may_have_any_name_of_mlflows(self, registry: Registry) -> None:
        registry.create_model("Prüfung (2. Fassung) %")
        assert registry.register("Prüfung (2. Fassung) %", NewVersion("x")).version == "1"

    def test_what_no_database_keeps_is_refused(self, registry: Registry) -> None:
        registry.create_model("fraud")
        for text in ("\x00", "\udc80", "x" * 100_001):
            with pytest.raises(NameInvalid):
                registry.describe("fraud", text)
            with pytest.raises(NameInvalid):
                registry.set_tag("fraud", "a", text)
        registry.set_tag("fraud", "a", "x" * 100_000)


class TestDescribing:
    def test_models_and_versions_have_descriptions_and_times_of_change(self, registry: Registry) -> None:
        add(registry, count=2)
        before = registry.version("fraud", "1")
        registry.describe("fraud", "all of them", by="ann")
        registry.describe("fraud", "this one", "1", by="ben")
        model, version = registry.model("fraud"), registry.version("fraud", "1")
        assert (model.description, version.description) == ("all of them", "this one")
        assert version.created_at == before.created_at == before.updated_at
        assert version.updated_at is not None
        assert model.updated_at is not None
        assert version.updated_at > model.updated_at > before.created_at
        assert registry.version("fraud", "2").description == ""
        with pytest.raises(ModelNotFound):
            registry.describe("absent", "x")
        with pytest.raises(VersionNotFound):
            registry.describe("fraud", "x", "3")


class TestStages:
    def test_the_latest_of_each_stage_is_known(self, registry: Registry) -> None:
        add(registry, count=5)
        add(registry, "churn")
        registry.set_stage("fraud", "1", "Production")
        registry.set_stage("fraud", "2", "Production")
        moved = registry.set_stage("fraud", "4", "Staging", by="ann")
        assert moved.stage == "Staging"
        latest = registry.latest_of_stages(["fraud", "churn"])
        assert [(v.version, v.stage) for v in latest["fraud"]] == [("2", "Production"), ("4", "Staging"), ("5", "None")]
        assert [(v.version, v.stage) for v in latest["churn"]] == [("1", "None")]

    def test_others_in_a_stage_are_archived_where_that_is_asked(self, registry: Registry) -> None:
        add(registry, count=3)
        registry.set_stage("fraud", "1", "Production")
        registry.set_stage("fraud", "2", "Production", archive_existing=True)
        registry.set_stage("fraud", "2", "Production", archive_existing=True)
        assert [v.stage for v in registry.versions("fraud")] == ["Archived", "Production", "None"]
        with pytest.raises(VersionNotFound):
            registry.set_stage("fraud", "9", "Production", archive_existing=True)
        assert registry.version("fraud", "2").stage == "Production"


class TestRenaming:
    def test_versions_and_aliases_stay(self, registry: Registry) -> None:
        registry.create_model("fraud", description="d", tags={"a": "1"})
        add(registry, count=2)
        registry.promote("fraud", "2", by="ann")
        renamed = registry.rename("fraud", "theft", by="ben")
        assert (renamed.name, renamed.description, renamed.aliases) == ("theft", "d", {"production": "2"})
        assert [(v.name, v.version) for v in registry.versions("theft")] == [("theft", "1"), ("theft", "2")]
        with pytest.raises(ModelNotFound):
            registry.model("fraud")

    def test_a_name_that_is_taken_or_bad_is_refused(self, registry: Registry) -> None:
        add(registry, "fraud")
        add(registry, "churn")
        with pytest.raises(ModelExists):
            registry.rename("fraud", "churn")
        with pytest.raises(NameInvalid):
            registry.rename("fraud", "a/b")
        with pytest.raises(ModelNotFound):
            registry.rename("absent", "other")
        assert [m.name for m in registry.models()] == ["churn", "fraud"]


@pytest.mark.ours
class TestRemembering:
    def test_a_model_made_again_goes_on_counting_and_is_new_otherwise(self, registry: Registry) -> None:
        registry.create_model("fraud", description="old", tags={"a": "1"})
        add(registry, count=2)
        registry.delete("fraud")
        again = registry.create_model("fraud")
        assert (again.description, again.tags, again.versions) == ("", {}, 0)
        assert registry.register("fraud", NewVersion("x")).version == "3"

    def test_a_version_comes_back_with_where_it_came_from(self, registry: Registry) -> None:
        new = NewVersion(
            source="1/models/m-1/artifacts",
            origin="models:/m-1",
            run_id="r1",
            run_link="http://x/r1",
            logged_model="m-1",
            status="PENDING_REGISTRATION",
            status_message="copying",
        )
        found = registry.register("fraud", new)
        for key in ("origin", "run_link", "logged_model", "status", "status_message"):
            assert getattr(found, key) == getattr(new, key), key
        assert found.source == f"{registry.artifact_root}/1/models/m-1/artifacts"
        assert registry.version("fraud", "1") == found

    def test_what_the_files_say_may_come_later(self, registry: Registry) -> None:
        add(registry)
        facts = PackageFacts("ab" * 32, columns("a"), ("sklearn", "python_function"), 12)
        registry.record_package("fraud", "1", facts)
        found = registry.version("fraud", "1")
        told = (found.digest, found.signature, found.flavors, found.size_bytes)
        assert told == (facts.digest, facts.signature, facts.flavors, 12)

    @pytest.mark.decided_here
    def test_what_the_files_say_comes_to_the_version_whatever_its_model_is_called(self, registry: Registry) -> None:
        add(registry, count=2)
        key = registry.key_of("fraud")
        registry.rename("fraud", "theft")
        add(registry, count=2)
        recorded = registry.record_package(key, "2", PackageFacts("ab" * 32, size_bytes=12))
        assert (recorded.name, recorded.version, recorded.digest, recorded.size_bytes) == ("theft", "2", "ab" * 32, 12)
        assert registry.version("theft", "2") == recorded
        assert registry.version("fraud", "2").digest is None
        registry.delete("theft", "2")
        with pytest.raises(VersionNotFound):
            registry.record_package(key, "2", PackageFacts("ab" * 32))
        registry.delete("theft")
        with pytest.raises(ModelNotFound):
            registry.record_package(key, "1", PackageFacts("ab" * 32))

    @pytest.mark.decided_here
    def test_a_version_for_a_model_makes_no_other_one(self, registry: Registry) -> None:
        """Nor does it come to one that has the name by now."""
        registry.create_model("Prüfung (2. Fassung) %", tags={"a": "1"})
        key = registry.key_of("Prüfung (2. Fassung) %")
        new = NewVersion("x", of_model=key)
        assert registry.register("Prüfung (2. Fassung) %", new).version == "1"
        registry.rename("Prüfung (2. Fassung) %", "theft")
        with pytest.raises(ModelNotFound):
            registry.register("Prüfung (2. Fassung) %", new)
        registry.create_model("Prüfung (2. Fassung) %")
        with pytest.raises(ModelNotFound):
            registry.register("Prüfung (2. Fassung) %", new)
        registry.delete("theft")
        with pytest.raises(ModelNotFound):
            registry.register("theft", new)
        assert [(m.name, m.versions) for m in registry.models()] == [("Prüfung (2. Fassung) %", 0)]
        with pytest.raises(ModelNotFound):
            registry.key_of("theft")

    def test_versions_aliases_and_history_stay(self, registry: Registry) -> None:
        registry.create_model("fraud", description="d", tags={"a": "1"})
        add(registry, count=2)
        registry.promote("fraud", "1", by="ann")
        registry.promote("fraud", "2", by="ann")
        renamed = registry.rename("fraud", "theft", by="ben")
        assert (renamed.name, renamed.description, renamed.aliases) == ("theft", "d", {"production": "2"})
        assert [(v.name, v.version) for v in registry.versions("theft")] == [("theft", "1"), ("theft", "2")]
        assert [(m.name, m.to_version) for m in registry.history("theft")] == [("theft", "1"), ("theft", "2")]
        assert registry.rollback("theft", by="ann").to_version == "1"
        with pytest.raises(ModelNotFound):
            registry.model("fraud")

    def test_a_deleted_models_name_is_free_and_its_numbers_are_not_used_again(self, registry: Registry) -> None:
        add(registry, "churn", 4)
        registry.delete("churn")
        add(registry, "fraud", 1)
        registry.rename("fraud", "churn")
        assert registry.register("churn", NewVersion("x")).version == "5"
        assert [v.version for v in registry.versions("churn")] == ["1", "5"]


@pytest.mark.ours
class TestDeletingWithAliases:
    def test_aliases_of_a_version_go_with_it_and_that_is_in_the_history(self, registry: Registry) -> None:
        add(registry, count=2)
        registry.promote("fraud", "1", by="ann")
        registry.promote("fraud", "2", "canary", by="ann")
        registry.delete("fraud", "1", with_aliases=True, by="cat")
        assert registry.model("fraud").aliases == {"canary": "2"}
        last = registry.history("fraud", "production")[-1]
        assert (last.kind, last.from_version, last.to_version, last.by) == ("remove", "1", None, "cat")

    def test_a_whole_model_goes_with_all_of_them(self, registry: Registry) -> None:
        add(registry, count=2)
        registry.promote("fraud", "1", by="ann")
        registry.delete("fraud", with_aliases=True, by="cat")
        add(registry)
        assert registry.model("fraud").aliases == {}
        assert [m.by for m in registry.history("fraud")] == ["ann", "cat"]


@pytest.mark.ours
def test_every_change_is_kept_with_who_did_it(registry: Registry) -> None:
    registry.create_model("fraud", by="ann")
    registry.register("fraud", NewVersion("x", registered_by="ben"))
    registry.set_tag("fraud", "git", "4f2c", "1", by="cat")
    registry.delete_tag("fraud", "git", "1", by="dan")
    registry.describe("fraud", "new", by="eve")
    registry.set_stage("fraud", "1", "Staging", by="fay")
    registry.rename("fraud", "theft", by="gus")
    registry.delete("theft", "1", by="hal")
    told = [(c.name, c.kind, c.version, c.by, c.detail) for c in registry.changes("theft")]
    assert told == [
        ("theft", "create", None, "ann", ""),
        ("theft", "register", "1", "ben", ""),
        ("theft", "tag", "1", "cat", "git"),
        ("theft", "untag", "1", "dan", "git"),
        ("theft", "describe", None, "eve", ""),
        ("theft", "stage", "1", "fay", "Staging"),
        ("theft", "rename", None, "gus", "from fraud"),
        ("theft", "delete", "1", "hal", ""),
    ]


@pytest.mark.ours
def test_a_registered_versions_files_are_known_by_any_path_in_them(registry: Registry) -> None:
    registry.register("fraud", NewVersion("1/models/m-1/artifacts"))
    registry.register("fraud", NewVersion("s3://bucket/x"))
    for path in ("1/models/m-1/artifacts", "1/models/m-1/artifacts/MLmodel", "1/models/m-1/artifacts/a/b"):
        found = registry.containing(path)
        assert found is not None, path
        assert found.version == "1"
    for path in ("1/models/m-1", "1/models/m-1/artifacts2", "1", "other", "1/models/m-1/artifact"):
        assert registry.containing(path) is None, path
    assert registry.containing("1/models", within=True) is not None
    assert registry.containing("1/model", within=True) is None
    registry.delete("fraud", "1")
    assert registry.containing("1/models/m-1/artifacts/MLmodel") is None
