"""The MLflow backend, against what a real server answered: what it reads, and what it writes."""

from __future__ import annotations

import json
from contextlib import closing
from datetime import UTC
from pathlib import Path
from typing import Any

import pytest

from penstock.artifacts import PackageCache
from penstock.cli.remedies import hint_of
from penstock.errors import (
    AliasNotFound,
    ModelNotFound,
    NameInvalid,
    RegistryReadOnly,
    RegistryUnavailable,
    SignatureIncompatible,
    Unsupported,
    VersionNotFound,
)
from penstock.manifest import Manifest
from penstock.mlflow_api.client import CallTimeouts, MlflowRestClient
from penstock.publishing import publish, withdraw
from penstock.registry import NewVersion
from penstock.registry.entries import PackageFacts
from penstock.registry.history import NewMove
from penstock.registry.mlflow.store import MlflowRegistry
from registry import mlflow_stand_in
from registry.mlflow_stand_in import saying
from registry.replay import Handler, Replay

replay = mlflow_stand_in.replay  # the fixture
registry = mlflow_stand_in.registry  # the fixture


def asked(replay: Replay) -> list[str]:
    return [path.partition("?")[0].rpartition("/mlflow/")[2] for _, path in replay.requests]


class TestReading:
    def test_models_have_versions_and_aliases(self, registry: MlflowRegistry) -> None:
        elsewhere, fraud = registry.models()
        assert (elsewhere.name, elsewhere.latest, elsewhere.versions) == ("elsewhere", "1", 1)
        assert (fraud.name, fraud.latest, fraud.versions) == ("fraud", "3", 3)
        assert fraud.aliases == {"champion": "3", "production": "1", "staging": "3"}
        assert registry.model("fraud") == fraud
        assert fraud.created_at.tzinfo is UTC

    def test_versions_have_aliases_sources_and_runs(self, registry: MlflowRegistry) -> None:
        versions = registry.versions("fraud")
        assert [v.version for v in versions] == ["1", "2", "3"]
        assert [v.aliases for v in versions] == [("production",), (), ("champion", "staging")]
        assert versions[0].source.startswith("models:/m-")
        assert versions[0].run_id
        assert [v.stage for v in versions] == ["None", "Production", "Staging"]
        assert all(v.updated_at and v.updated_at >= v.created_at for v in versions)
        assert registry.version("fraud", "3") == versions[2]

    def test_an_alias_takes_one_request(self, registry: MlflowRegistry, replay: Replay) -> None:
        assert registry.resolve("fraud").version == "1"
        assert asked(replay) == ["registered-models/alias"]

    def test_an_alias_wins_over_a_stage_of_its_name(self, registry: MlflowRegistry) -> None:
        assert registry.resolve("fraud", "production").version == "1"  # version 2 is in stage Production
        assert registry.resolve("fraud", "staging").version == "3"

    @pytest.mark.parametrize("alias", ["archived", "absent", "Production", "None"])
    def test_a_name_that_is_neither_alias_nor_stage_is_an_error(self, registry: MlflowRegistry, alias: str) -> None:
        with pytest.raises(AliasNotFound, match="aliases: champion, production, staging"):
            registry.resolve("fraud", alias)

    def test_latest_takes_one_request(self, registry: MlflowRegistry, replay: Replay) -> None:
        assert registry.latest("fraud").version == "3"
        assert asked(replay) == ["registered-models/get"]

    def test_an_absent_model_or_version_is_named_without_a_bad_request(
        self, registry: MlflowRegistry, replay: Replay
    ) -> None:
        for read in (registry.model, registry.versions, registry.resolve, registry.latest):
            with pytest.raises(ModelNotFound, match="'absent'"):
                read("absent")
        replay.requests.clear()
        for name in ("", "a/b", "a:b"):
            with pytest.raises(ModelNotFound):
                registry.model(name)
        assert not replay.requests  # the server would call them bad parameters
        for version in ("9", "0", "01", "-1", "x", "", "1.0", "9" * 30):
            with pytest.raises(VersionNotFound):
                registry.version("fraud", version)

    def test_a_version_that_is_not_ready_is_not_resolved(self, registry: MlflowRegistry, replay: Replay) -> None:
        found = replay.answer("GET", "/api/2.0/mlflow/registered-models/alias?name=fraud&alias=production", b"")
        assert found is not None
        found["json"]["model_version"]["status"] = "PENDING_REGISTRATION"
        with pytest.raises(VersionNotFound, match="not ready: PENDING_REGISTRATION"):
            registry.resolve("fraud")

    def test_every_page_of_versions_is_read(self, registry: MlflowRegistry, replay: Replay) -> None:
        def page(handler: Handler) -> None:
            number = 2 if "page_token=next" in handler.path else 1
            more = {} if number == 2 else {"next_page_token": "next"}
            version = {"name": "fraud", "version": str(number), "creation_timestamp": 1}
            handler.say(200, {"model_versions": [version], **more})

        replay.rules["model-versions/search"] = page
        assert registry.model("fraud").versions == 2

    def test_a_page_that_names_itself_as_the_next_ends_it(self, registry: MlflowRegistry, replay: Replay) -> None:
        replay.rules["model-versions/search"] = saying({"next_page_token": "again"})
        assert registry.versions("fraud") == []

    def test_pages_without_end_are_an_error(
        self, registry: MlflowRegistry, replay: Replay, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("penstock.registry.mlflow.asking._MAX_PAGES", 5)
        replay.rules["model-versions/search"] = lambda h: h.say(200, {"next_page_token": str(len(replay.requests))})
        with pytest.raises(RegistryUnavailable):
            registry.versions("fraud")

    def test_tokens_in_a_circle_are_an_error(self, registry: MlflowRegistry, replay: Replay) -> None:
        replay.rules["model-versions/search"] = lambda h: h.say(200, {"next_page_token": f"{len(replay.requests) % 3}"})
        with pytest.raises(RegistryUnavailable, match="without an end"):
            registry.versions("fraud")
        assert len(replay.requests) < 8

    def test_a_listing_has_a_budget_of_bytes_over_all_its_pages(
        self, registry: MlflowRegistry, replay: Replay, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("penstock.registry.mlflow.asking.LISTING_LIMIT", 5000)
        replay.rules["model-versions/search"] = lambda h: h.say(
            200, {"model_versions": [], "next_page_token": str(len(replay.requests)), "padding": "x" * 2000}
        )
        with pytest.raises(RegistryUnavailable, match="without an end"):
            registry.versions("fraud")
        assert len(replay.requests) < 6

    def test_a_search_is_one_question_that_the_server_narrows_down(
        self, registry: MlflowRegistry, replay: Replay
    ) -> None:
        def model(name: str, **more: Any) -> dict[str, Any]:
            return {"name": name, "creation_timestamp": 1, "aliases": [{"alias": "champion", "version": "2"}], **more}

        prompt = {"tags": [{"key": "mlflow.prompt.is_prompt", "value": "true"}]}
        staged = {"aliases": [], "latest_versions": [{"current_stage": "Production", "version": "3"}]}
        models = [model("team-a"), model("TEAM-b"), model("team-c", **staged), model("team-d", **prompt)]
        replay.rules["registered-models/search"] = saying({"registered_models": models})
        assert registry.search("team-?", "champion") == {"team-a": "2"}
        assert registry.search("team-*") == {"team-c": "3"}
        assert len(replay.requests) == 2
        assert "filter=name+LIKE+%27team-%25%27" in replay.requests[0][1]
        assert registry.search("*m[-]a", "champion") == {"team-a": "2"}
        assert "filter" not in replay.requests[2][1]

    def test_prompts_are_no_models(self, registry: MlflowRegistry, replay: Replay) -> None:
        tags = [{"key": "mlflow.prompt.is_prompt", "value": "true"}]
        models = [{"name": "hello", "creation_timestamp": 1, "tags": tags}, {"name": "m", "creation_timestamp": 1}]
        replay.rules["registered-models/search"] = saying({"registered_models": models})
        assert [m.name for m in registry.models()] == ["m"]

    @pytest.mark.parametrize(
        "answer",
        [{}, {"registered_model": 3}, {"registered_model": {"name": "fraud"}}, {"registered_model": {"name": "fraud",
         "creation_timestamp": 1, "latest_versions": [3]}}, {"registered_model": {"creation_timestamp": "x"}}],
    )  # fmt: skip
    def test_answers_of_another_form_are_an_error(self, registry: MlflowRegistry, replay: Replay, answer: Any) -> None:
        replay.rules["registered-models/get"] = saying(answer)
        with pytest.raises(RegistryUnavailable, match="in a format that is not MLflow's"):
            registry.model("fraud")

    def test_reading_the_history_is_unsupported(self, registry: MlflowRegistry) -> None:
        with pytest.raises(Unsupported, match="no history"):
            registry.history("fraud")


class TestWriting:
    def test_an_alias_is_set_and_removed_on_the_server(self, registry: MlflowRegistry, replay: Replay) -> None:
        def write(handler: Handler) -> None:
            if handler.command == "GET":
                handler.say(400, {"error_code": "INVALID_PARAMETER_VALUE", "message": "Registered model alias"})
            else:
                handler.say(200, {})

        replay.rules["registered-models/alias"] = write
        move = registry.promote("fraud", "3", by="ann")
        assert (move.from_version, move.to_version) == ("1", "3")
        assert replay.requests[-1][0] == "POST"
        assert replay.bodies[-1] == {"name": "fraud", "alias": "production", "version": "3"}

    def test_a_version_that_breaks_callers_is_refused_unless_allowed(
        self, registry: MlflowRegistry, replay: Replay
    ) -> None:
        with pytest.raises(SignatureIncompatible, match="would break callers of version 1"):
            registry.promote("fraud", "2", by="ann")
        assert all(method == "GET" for method, _ in replay.requests)
        replay.rules["registered-models/alias"] = saying({})
        registry.promote("fraud", "2", by="ann", allow_breaking=True)
        assert replay.bodies[-1]["version"] == "2"

    def test_a_stage_cannot_be_removed_as_an_alias(self, registry: MlflowRegistry) -> None:
        with pytest.raises(Unsupported, match="is a stage") as caught:
            registry._move_alias(NewMove("fraud", "staging", "remove", None, ..., registry._now(), ""))
        assert "transition_model_version_stage" in hint_of(caught.value)
        with pytest.raises(AliasNotFound):
            registry.remove_alias("fraud", "absent", by="ann")

    def test_tags_are_set_and_deleted_on_the_server(self, registry: MlflowRegistry, replay: Replay) -> None:
        replay.rules["set-tag"] = saying({})
        replay.rules["delete-tag"] = saying({"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "no"}, 404)
        registry.set_tag("fraud", "owner", "risk")
        assert replay.bodies[-1] == {"name": "fraud", "key": "owner", "value": "risk"}
        registry.set_tag("fraud", "git", "4f", version="1")
        assert replay.bodies[-1] == {"name": "fraud", "key": "git", "value": "4f", "version": "1"}
        registry.delete_tag("fraud", "owner")
        assert replay.requests[-1] == ("DELETE", "/api/2.0/mlflow/registered-models/delete-tag")

    def test_a_tag_that_the_server_refuses_is_an_error_in_its_words(
        self, registry: MlflowRegistry, replay: Replay
    ) -> None:
        replay.rules["set-tag"] = saying({"error_code": "INVALID_PARAMETER_VALUE", "message": "Too long."}, 400)
        with pytest.raises(NameInvalid, match="Too long"):
            registry.set_tag("fraud", "owner", "risk")

    def test_a_registry_opened_for_reading_sends_no_write(self, replay: Replay, tmp_path: Path) -> None:
        reader = MlflowRegistry(MlflowRestClient(replay.url), PackageCache(tmp_path), read_only=True)
        for write in (
            lambda: reader.promote("fraud", "3", by="ann"),
            lambda: reader.set_tag("fraud", "a", "b"),
            lambda: reader.delete_tag("fraud", "a"),
        ):
            with pytest.raises(RegistryReadOnly):
                write()
        assert all(method == "GET" for method, _ in replay.requests)
        reader.close()

    def test_what_may_not_be_done_twice_is_sent_once(self, replay: Replay, tmp_path: Path) -> None:
        """A model that was made is there already when it is sent again; a version would be there twice."""
        client = MlflowRestClient(replay.url, timeouts=CallTimeouts(retries=2, backoff=0))
        replay.rules["/create"] = saying({"error_code": "TEMPORARILY_UNAVAILABLE", "message": "busy"}, 503)
        replay.rules["/rename"] = saying({"error_code": "TEMPORARILY_UNAVAILABLE", "message": "busy"}, 503)
        with closing(MlflowRegistry(client, PackageCache(tmp_path))) as opened:
            for write in (
                lambda: opened.create_model("new"),
                lambda: opened.register("fraud", NewVersion("s3://bucket/x")),
                lambda: opened.rename("fraud", "new"),
            ):
                replay.requests.clear()
                with pytest.raises(RegistryUnavailable):
                    write()
                assert len([method for method, _ in replay.requests if method == "POST"]) == 1

    def test_a_package_on_this_machine_is_not_registered(self, registry: MlflowRegistry, replay: Replay) -> None:
        for source in ("fraud/package", "/srv/models/fraud"):
            with pytest.raises(Unsupported, match="no package from this machine") as caught:
                registry.register("fraud", NewVersion(source))
            assert "mlflow.register_model" in hint_of(caught.value)
        assert all(method == "GET" for method, _ in replay.requests)

    def test_a_version_is_ready_or_says_why_it_is_not(self, registry: MlflowRegistry, replay: Replay) -> None:
        told = {"name": "fraud", "version": "3", "creation_timestamp": 1, "status": "FAILED_REGISTRATION",
                "status_message": "no space", "model_id": "m-1"}  # fmt: skip
        replay.rules["model-versions/get"] = saying({"model_version": told})
        found = registry.version("fraud", "3")
        assert (found.status, found.status_message, found.logged_model) == ("FAILED_REGISTRATION", "no space", "m-1")

    def test_other_writes_are_unsupported_and_name_mlflows_command(
        self, registry: MlflowRegistry, replay: Replay, tmp_path: Path
    ) -> None:
        for ask, way in (
            (lambda: publish(registry, "fraud", tmp_path), "mlflow.register_model"),
            (lambda: withdraw(registry, "fraud", "1"), "delete_model_version"),
            (lambda: withdraw(registry, "fraud"), "delete_registered_model"),
            (lambda: registry.rollback("fraud", by="ann"), "penstock registry promote fraud VERSION"),
            (lambda: registry.history("fraud"), "penstock registry show"),
            (lambda: registry.changes("fraud"), "penstock registry show"),
            (lambda: registry.containing("1/x"), "search_model_versions"),
            (lambda: registry.record_package("fraud", "1", PackageFacts("ab" * 32)), "tags"),
            (registry.migrate, "mlflow db upgrade"),
        ):
            with pytest.raises(Unsupported) as caught:
                ask()
            assert way in hint_of(caught.value)
        assert all(method == "GET" for method, _ in replay.requests)


def test_the_signature_is_read_from_the_manifest(registry: MlflowRegistry, replay: Replay) -> None:
    version = registry.version("fraud", "1")
    signature = registry.signature(version)
    assert signature is not None
    assert signature == Manifest.read(registry.fetch(version).path).signature
    replay.rules["get-download-uri"] = saying({"artifact_uri": "dbfs:/elsewhere"})
    assert registry.signature(registry.version("elsewhere", "1")) is None


def test_the_answers_hold_nothing_of_who_recorded_them() -> None:
    from registry.replay import ANSWERS

    text = ANSWERS.read_text()
    assert "mlflow.source.name" not in text
    assert all(json.loads(text)[key] for key in json.loads(text))
