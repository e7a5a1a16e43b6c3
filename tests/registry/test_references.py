"""What a user may write for a model."""

from __future__ import annotations

from pathlib import Path

import pytest

from penstock.errors import (
    AliasNotFound,
    ConfigError,
    ModelNotFound,
    NameInvalid,
    RegistryError,
    RegistryNotFound,
    Unsupported,
    VersionNotFound,
)
from penstock.registry import NewVersion
from penstock.registry.memory import MemoryRegistry
from penstock.registry.references import LATEST, ModelReference, directories_told, parse_reference
from penstock.registry.refusals import no_model, no_version


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory, so that nothing happens to exist."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def registered(name: str = "fraud", *, alias: str = "", version: str = "", served_as: str = "") -> ModelReference:
    return ModelReference(served_as or name, name=name, alias=alias, version=version)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("fraud", registered(alias="production")),
        ("fraud-v2.1 beta", registered("fraud-v2.1 beta", alias="production")),
        ("models:/fraud@canary", registered(alias="canary")),
        ("models:fraud@canary", registered(alias="canary")),
        ("models:/fraud@3", registered(alias="3")),
        ("models:/fraud@Blue", registered(alias="Blue")),
        ("models:/fraud/3", registered(version="3")),
        ("models:/fraud/007", registered(version="7")),
        ("models:/fraud/0", registered(version="0")),
        ("models:/fraud/" + "9" * 5000, registered(version="9" * 5000)),
        ("models:/fraud/Production", registered(alias="production")),
        ("models:/fraud/latest", registered(alias=LATEST)),
        ("champion=fraud", registered(alias="production", served_as="champion")),
        ("champion=models:/fraud/3", registered(version="3", served_as="champion")),
        ("a=models:/fraud@b", registered(alias="b", served_as="a")),
        ("models:/m-1", None),
    ],
)
def test_names_of_registered_models_are_read(text: str, expected: ModelReference | None) -> None:
    if expected is None:
        with pytest.raises(ConfigError, match="does not name a version"):
            parse_reference(text)
    else:
        assert parse_reference(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("models:/m-" + "0f" * 16, ModelReference("m-" + "0f" * 16, uri="models:/m-" + "0f" * 16)),
        ("runs:/abc/model", ModelReference("model", uri="runs:/abc/model")),
        ("runs:/abc/deep/my model/", ModelReference("my-model", uri="runs:/abc/deep/my model")),
        ("mlflow-artifacts:/0/abc/artifacts/m", ModelReference("m", uri="mlflow-artifacts:/0/abc/artifacts/m")),
        ("x=runs:/abc/model", ModelReference("x", uri="runs:/abc/model")),
    ],
)
def test_mlflow_uris_are_references_to_an_mlflow_server(text: str, expected: ModelReference) -> None:
    assert parse_reference(text) == expected
    assert not expected.follows
    assert str(expected) == expected.uri
    with pytest.raises(Unsupported, match="Only an MLflow tracking server"):
        MemoryRegistry().fetch_uri(expected.uri)


def test_a_name_that_urls_cannot_hold_is_served_under_another() -> None:
    """Such a model is found by its own name, and served under one that a path can hold."""
    found = parse_reference("models:/fraud (EU)@best")
    assert (found.name, found.served_as, found.alias) == ("fraud (EU)", "fraud-EU-", "best")
    assert parse_reference("eu=models:/fraud (EU)/3").served_as == "eu"


def test_anything_with_a_slash_is_a_path(elsewhere: Path) -> None:
    for text in ("./model", "model/", "/srv/models/fraud", "../x"):
        assert parse_reference(text).path == Path(text)
        assert not parse_reference(text).follows
    assert parse_reference("/srv/models/fraud").served_as == "fraud"


def test_anything_that_exists_is_a_path(elsewhere: Path) -> None:
    (elsewhere / "fraud").mkdir()
    (elsewhere / "a=b").mkdir()
    assert parse_reference("fraud") == ModelReference("fraud", Path("fraud"))
    assert parse_reference("a=b") == ModelReference("a-b", Path("a=b"))
    assert parse_reference("x=fraud") == ModelReference("x", Path("fraud"))
    assert parse_reference(".").served_as == elsewhere.name.replace("[", "-").strip("-")


def test_file_urls_are_paths(elsewhere: Path) -> None:
    odd = elsewhere / "my models" / "größe"
    assert parse_reference(odd.as_uri()).path == odd
    assert parse_reference("file://localhost/srv/m").path == Path("/srv/m")
    assert parse_reference("file:/srv/m").path == Path("/srv/m")
    assert parse_reference("name=file:///srv/m") == ModelReference("name", Path("/srv/m"))
    with pytest.raises(ConfigError, match="another host"):
        parse_reference("file://elsewhere/srv/m")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("s3://bucket/models/iris", ModelReference("iris", url="s3://bucket/models/iris")),
        ("gs://bucket/models/iris%20v1//", ModelReference("iris-v1", url="gs://bucket/models/iris%20v1")),
        ("S3://bucket", ModelReference("bucket", url="s3://bucket")),
        ("x=s3://bucket/m", ModelReference("x", url="s3://bucket/m")),
        ("s3://bucket/a=b", ModelReference("a-b", url="s3://bucket/a=b")),
        (
            "abfs://box@account.dfs.core.windows.net/m",
            ModelReference("m", url="abfs://box@account.dfs.core.windows.net/m"),
        ),
    ],
)
def test_urls_of_object_stores_are_read(text: str, expected: ModelReference) -> None:
    assert parse_reference(text) == expected
    assert not expected.follows
    assert not expected.needs_registry
    assert str(expected) == expected.url


def test_a_password_in_a_url_is_not_repeated() -> None:
    with pytest.raises(ConfigError, match="contains a password") as caught:
        parse_reference("x=sftp://ann:secret@host/model")
    assert "secret" not in str(caught.value)


def test_a_tilde_is_the_home_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/ann")
    assert parse_reference("m=~/models/fraud").path == Path("/home/ann/models/fraud")


@pytest.mark.parametrize(
    ("directory", "name"), [("my model", "my-model"), (".hidden", "hidden"), ("größe", "gr-e"), ("###", "model")]
)
def test_a_directorys_name_becomes_one_that_urls_can_hold(directory: str, name: str) -> None:
    assert parse_reference(f"/srv/{directory}").served_as == name.replace("gr-e", "gr-e")


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", ConfigError),
        ("name=", ConfigError),
        ("=fraud", NameInvalid),
        ("a=b=c", NameInvalid),
        ("x" * 300, NameInvalid),
        ("x" * 5000, NameInvalid),
        ("fra\x00ud", NameInvalid),
        ("fraud?", ConfigError),
        ("bad name!=fraud", NameInvalid),
        ("models:/fraud", ConfigError),
        ("models:/fraud/", ConfigError),
        ("models:/", NameInvalid),
        ("models:/@canary", NameInvalid),
        ("models:/fraud@", NameInvalid),
        ("models:/fraud@v3", NameInvalid),
        ("models:/fraud@latest", NameInvalid),
        ("models:/fraud/1/2", NameInvalid),
        ("models:/fraud/v3", NameInvalid),
        ("models:/fraud/\u0661", NameInvalid),
        ("models:/a:b/1", NameInvalid),
        ("models:/a\x00/1", NameInvalid),
        ("models:/" + "a" * 600 + "/1", NameInvalid),
        ("runs:/abc", ConfigError),
        ("runs:/abc/", ConfigError),
        ("runs:model", ConfigError),
        ("https://host/model", Unsupported),
        ("s3://", ConfigError),
        ("s3:///", ConfigError),
        ("simplecache::s3://bucket/model", ConfigError),
        ("://bucket/model", ConfigError),
        ("sftp://ann:secret@host/model", ConfigError),
    ],
)
def test_what_means_nothing_is_refused(text: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        parse_reference(text)


@pytest.mark.parametrize("text", ["models:/fraud@canary", "models:/fraud/3", "/srv/m", "s3://b/m"])
def test_a_reference_prints_as_it_is_written(text: str) -> None:
    assert str(parse_reference(text)) == text
    assert str(parse_reference(f"x={text}")) == text


class TestResolving:
    @pytest.fixture
    def registry(self) -> MemoryRegistry:
        made = MemoryRegistry()
        for _ in range(3):
            made.register("fraud", NewVersion("fraud/package"))
        made.promote("fraud", "2", "production", by="test")
        return made

    @pytest.mark.parametrize(
        ("text", "version", "follows"),
        [("fraud", "2", True), ("models:/fraud/1", "1", False), ("models:/fraud/latest", "3", True)],
    )
    def test_resolving_gives_a_version(self, registry: MemoryRegistry, text: str, version: str, follows: bool) -> None:
        reference = parse_reference(text)
        assert reference.resolve(registry).version == version
        assert reference.follows is follows

    @pytest.mark.parametrize(
        ("text", "error"),
        [
            ("other", ModelNotFound),
            ("models:/other/latest", ModelNotFound),
            ("models:/fraud@canary", AliasNotFound),
            ("models:/fraud/9", VersionNotFound),
        ],
    )
    def test_resolving_an_absent_model_version_or_alias_is_an_error(
        self, registry: MemoryRegistry, text: str, error: type[Exception]
    ) -> None:
        with pytest.raises(error):
            parse_reference(text).resolve(registry)

    def test_a_model_without_versions_has_no_latest(self, registry: MemoryRegistry) -> None:
        registry.remove_alias("fraud", "production", by="test")
        for version in "123":
            registry.delete("fraud", version)
        with pytest.raises(ModelNotFound, match="has no versions"):
            parse_reference("models:/fraud/latest").resolve(registry)


class TestPatterns:
    @pytest.mark.parametrize(
        ("text", "name", "alias"),
        [
            ("team-*", "team-*", "production"),
            ("models:/team-*@champion", "team-*", "champion"),
            ("models:/team-[ab]?/Production", "team-[ab]?", "production"),
            ("*", "*", "production"),
        ],
    )
    def test_patterns_stand_for_the_models_that_match(self, text: str, name: str, alias: str) -> None:
        reference = parse_reference(text, patterns=True)
        assert (reference.name, reference.alias, reference.served_as) == (name, alias, name)
        assert reference.is_pattern
        assert reference.follows

    @pytest.mark.parametrize(
        "text", ["x=team-*", "models:/team-*/3", "models:/team-*/latest", "x=models:/team-*@champion"]
    )
    def test_patterns_of_one_version_or_served_name_are_refused(self, text: str) -> None:
        with pytest.raises(ConfigError):
            parse_reference(text, patterns=True)

    def test_where_one_model_is_meant_they_are_refused(self) -> None:
        with pytest.raises(ConfigError, match="is a pattern for several models"):
            parse_reference("models:/team-*@champion")

    def test_a_name_without_wildcards_is_no_pattern(self) -> None:
        assert not parse_reference("team", patterns=True).is_pattern


@pytest.mark.parametrize(
    ("text", "error", "said"),
    [
        ("m4", no_model("m4"), "There is no model 'm4' in this registry; nor is there a directory m4."),
        ("other=m4", no_model("m4"), "There is no model 'm4' in this registry; nor is there a directory m4."),
        ("models:/m4@production", no_model("m4"), "There is no model 'm4' in this registry."),
        ("m4", no_model("m5"), "There is no model 'm5' in this registry."),
        (
            "m4",
            RegistryNotFound("There is no registry at x."),
            "There is no registry at x; nor is there a directory m4.",
        ),
        ("team-*", RegistryNotFound("There is no registry at x."), "There is no registry at x."),
        ("m4", no_version("m4", "1"), "Model 'm4' has no version 1."),
    ],
)
def test_a_bare_name_that_is_not_found_might_have_been_a_directory(text: str, error: RegistryError, said: str) -> None:
    with pytest.raises(RegistryError) as told, directories_told([parse_reference(text, patterns=True)]):
        raise error
    assert (type(told.value), told.value.message) == (type(error), said)
    assert (told.value.hint, told.value.remedy) == (error.hint, error.remedy)
