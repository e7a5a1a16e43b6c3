"""What every registry does alike: reading, registering, tagging and deleting. Aliases: test_contract_aliases.py."""

from __future__ import annotations

import threading
from datetime import datetime, timedelta, timezone

import pytest

from penstock.errors import (
    AliasNotFound,
    ModelNotFound,
    NameInvalid,
    VersionInUse,
    VersionNotFound,
)
from penstock.registry import NewVersion, Registry
from registry.registering import add, columns


class TestReading:
    """Also run over a real MLflow server, as all that is not marked `ours`: tests/services/test_mlflow_contract.py."""

    def test_an_empty_registry_has_no_models(self, registry: Registry) -> None:
        assert registry.models() == []

    def test_models_come_by_name_with_versions_aliases_and_tags(self, registry: Registry) -> None:
        add(registry, "b_model", 2)
        add(registry, "B model")
        add(registry, "a-model")
        registry.promote("b_model", "1", "canary", by="ann")
        registry.set_tag("b_model", "owner", "risk")

        assert [m.name for m in registry.models()] == ["B model", "a-model", "b_model"]
        found = registry.models()[-1]
        assert (found.latest, found.versions, found.aliases, found.tags) == ("2", 2, {"canary": "1"}, {"owner": "risk"})
        assert registry.model("b_model") == found

    def test_a_search_gives_what_an_alias_names_by_a_pattern_of_names(self, registry: Registry) -> None:
        for name in ("team-a", "team-b", "team_c", "Team-d", "other", "team-gone"):
            add(registry, name, 2)
        for name in ("team-a", "team_c", "Team-d", "other", "team-gone"):
            registry.promote(name, "2", "champion", by="ann")
        registry.promote("team-b", "1", by="ann")
        registry.remove_alias("team-gone", "champion", by="ann")
        assert registry.search("team-*", "champion") == {"team-a": "2"}
        assert registry.search("team?[ac]", "champion") == {"team-a": "2", "team_c": "2"}
        assert registry.search("*", "champion").keys() == {"team-a", "team_c", "Team-d", "other"}
        assert registry.search("team-*") == {"team-b": "1"}
        assert registry.search("nobody*", "champion") == {}

    def test_versions_come_by_number(self, registry: Registry) -> None:
        add(registry, count=11)
        assert [v.version for v in registry.versions("fraud")] == [str(n) for n in range(1, 12)]
        assert registry.model("fraud").latest == "11"

    def test_resolving_follows_the_alias(self, registry: Registry) -> None:
        add(registry, count=2)
        registry.promote("fraud", "2", by="ann")
        registry.promote("fraud", "2", "canary", by="ann")

        assert registry.resolve("fraud").version == "2"
        assert registry.resolve("fraud", "canary").aliases == ("canary", "production")

    def test_an_absent_model_version_or_alias_is_named(self, registry: Registry) -> None:
        add(registry)
        for missing in ("absent", "", "a/b", "FRAUD"):
            with pytest.raises(ModelNotFound, match="no model"):
                registry.model(missing)
        with pytest.raises(ModelNotFound):
            registry.versions("absent")
        for version in ("2", "0", "01", "-1", "x", "", "1.0", "9" * 30, "\u0661"):
            with pytest.raises(VersionNotFound):
                registry.version("fraud", version)
        with pytest.raises(AliasNotFound, match="aliases: none"):
            registry.resolve("fraud")


@pytest.mark.ours
class TestKeeping:
    def test_a_version_comes_back_as_registered(self, registry: Registry) -> None:
        new = NewVersion(
            source="fraud/1",
            digest="ab" * 32,
            signature={**columns("amount"), "outputs": None},
            flavors=("onnx", "python_function"),
            size_bytes=5_000_000_000,
            description="zweite Fassung: größer ✓",
            run_id="r1",
            tags={"z": "1", "git": "4f2c"},
            registered_by="ann",
        )
        registered = registry.register("fraud", new)

        assert registered.source == f"{registry.artifact_root}/fraud/1"
        for key in ("digest", "signature", "flavors", "size_bytes", "description", "run_id", "tags", "registered_by"):
            assert getattr(registered, key) == getattr(new, key), key
        assert registry.version("fraud", "1") == registered
        assert registry.versions("fraud") == [registered]

    def test_times_are_aware_and_in_utc(self, registry: Registry) -> None:
        local = datetime(2026, 5, 1, 12, 0, 0, 123456, tzinfo=timezone(timedelta(hours=2)))
        registry._clock = lambda: local
        add(registry)
        registry.promote("fraud", "1", by="ann")

        for at in (
            registry.version("fraud", "1").created_at,
            registry.model("fraud").created_at,
            registry.history("fraud")[0].at,
        ):
            assert at == local
            assert at.utcoffset() == timedelta(0)

    @pytest.mark.parametrize("source", ["/srv/models/fraud", "s3://models/fraud/1", "file:///srv/fraud"])
    def test_an_absolute_source_stays(self, registry: Registry, source: str) -> None:
        assert registry.register("fraud", NewVersion(source)).source == source

    def test_numbers_are_not_used_twice(self, registry: Registry) -> None:
        add(registry, count=3)
        registry.delete("fraud", "3")
        registry.delete("fraud", "1")
        assert registry.register("fraud", NewVersion("x")).version == "4"
        assert [v.version for v in registry.versions("fraud")] == ["2", "4"]

    def test_a_model_registered_again_goes_on_counting(self, registry: Registry) -> None:
        add(registry, count=2)
        registry.set_tag("fraud", "owner", "risk")
        registry.promote("fraud", "1", by="ann")
        registry.remove_alias("fraud", "production", by="ann")
        registry.delete("fraud")
        assert registry.models() == []

        again = registry.register("fraud", NewVersion("x"))

        assert again.version == "3"
        assert registry.model("fraud").created_at == again.created_at
        assert registry.model("fraud").tags == {}
        assert len(registry.history("fraud")) == 2

    def test_a_model_without_versions_is_still_there(self, registry: Registry) -> None:
        add(registry)
        registry.delete("fraud", "1")
        found = registry.model("fraud")
        assert (found.latest, found.versions, registry.versions("fraud")) == (None, 0, [])


class TestRegistering:
    def test_a_version_comes_back_with_what_every_registry_keeps(self, registry: Registry) -> None:
        new = NewVersion(
            source="s3://bucket/fraud/1",
            description="zweite Fassung: größer ✓",
            run_link="http://x/r1",
            tags={"z": "1", "git": "4f2c"},
        )
        registered = registry.register("fraud", new)
        for key in ("source", "description", "run_link", "tags", "status"):
            assert getattr(registered, key) == getattr(new, key), key
        assert registry.version("fraud", "1") == registered
        assert registry.versions("fraud") == [registered]
        assert registered.created_at == registered.updated_at

    @pytest.mark.parametrize("name", ["", "a/b", "a:b", " a", "a ", ".", "..", "-a", "ä", "a" * 256, "a\n"])
    def test_bad_names_are_refused(self, registry: Registry, name: str) -> None:
        with pytest.raises(NameInvalid):
            registry.register(name, NewVersion("x"))
        assert registry.models() == []

    def test_bad_tags_are_refused(self, registry: Registry) -> None:
        with pytest.raises(NameInvalid):
            registry.register("fraud", NewVersion("x", tags={"a\nb": "1"}))

    def test_threads_never_share_a_number(self, registry: Registry) -> None:
        each, threads = 5, 8
        numbers: list[str] = []

        def work() -> None:
            for _ in range(each):
                numbers.append(registry.register("fraud", NewVersion("x")).version)

        running = [threading.Thread(target=work) for _ in range(threads)]
        for thread in running:
            thread.start()
        for thread in running:
            thread.join()

        assert sorted(map(int, numbers)) == list(range(1, each * threads + 1))


class TestTags:
    def test_a_model_and_a_version_have_tags_of_their_own(self, registry: Registry) -> None:
        add(registry)
        registry.set_tag("fraud", "owner", "risk")
        registry.set_tag("fraud", "owner", "péage = 3")
        registry.set_tag("fraud", "git", "4f2c", version="1")

        assert registry.model("fraud").tags == {"owner": "péage = 3"}
        assert registry.version("fraud", "1").tags == {"git": "4f2c"}

        registry.delete_tag("fraud", "owner")
        registry.delete_tag("fraud", "git", version="1")
        registry.delete_tag("fraud", "never set")
        assert registry.model("fraud").tags == {}
        assert registry.version("fraud", "1").tags == {}

    def test_an_absent_model_or_version_takes_no_tag(self, registry: Registry) -> None:
        with pytest.raises(ModelNotFound):
            registry.set_tag("fraud", "a", "b")
        add(registry)
        with pytest.raises(VersionNotFound):
            registry.set_tag("fraud", "a", "b", version="7")
        with pytest.raises(NameInvalid):
            registry.set_tag("fraud", "", "b")


@pytest.mark.ours
class TestDeleting:
    def test_a_version_that_an_alias_names_is_not_deleted(self, registry: Registry) -> None:
        add(registry, count=2)
        registry.promote("fraud", "1", by="ann")

        with pytest.raises(VersionInUse, match="production -> 1"):
            registry.delete("fraud", "1")
        with pytest.raises(VersionInUse, match="production -> 1"):
            registry.delete("fraud")
        registry.delete("fraud", "2")
        assert [v.version for v in registry.versions("fraud")] == ["1"]

    def test_deleting_an_absent_model_or_version_is_an_error(self, registry: Registry) -> None:
        with pytest.raises(ModelNotFound):
            registry.delete("fraud")
        add(registry)
        with pytest.raises(VersionNotFound):
            registry.delete("fraud", "2")
        registry.delete("fraud")
        with pytest.raises(ModelNotFound):
            registry.delete("fraud")

    def test_other_models_are_not_touched(self, registry: Registry) -> None:
        add(registry, "fraud")
        add(registry, "churn")
        registry.promote("churn", "1", by="ann")
        registry.delete("fraud")
        assert registry.resolve("churn").version == "1"
