"""Paths in a settings file are relative to the file, wherever the server is started."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from penstock.config import FILE_VARIABLE, load_settings
from penstock.registry.references import parse_reference


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with a model `here` in it; the working directory is another one, which has `iris`."""
    (tmp_path / "place" / "here").mkdir(parents=True)
    (tmp_path / "elsewhere" / "iris").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "elsewhere")
    return tmp_path / "place"


def models_of(place: Path, content: str) -> tuple[str, ...]:
    (place / "own.toml").write_text(content)
    settings, _ = load_settings({}, {}, place / "own.toml")
    return settings.models


@pytest.mark.parametrize("given", ["./fraud", "here", "../place/here", "a/b"])
def test_a_models_path_begins_at_the_file(place: Path, given: str) -> None:
    resolved = f"{place}/{given}"
    assert models_of(place, f'models = ["{given}", "x={given}"]') == (resolved, f"x={resolved}")
    assert models_of(place, f'[models.x]\nmodel = "{given}"') == (f"x={resolved}",)
    assert parse_reference(resolved).path == Path(resolved)


@pytest.mark.parametrize(
    "given", ["/abs/fraud", "~/fraud", "fraud", "models:/fraud@x", "runs:/8f2c/model", "s3://b/fraud", "file:///srv/x"]
)
def test_names_urls_and_whole_paths_stay_as_they_are(place: Path, given: str) -> None:
    assert models_of(place, f'models = ["{given}", "x={given}"]') == (given, f"x={given}")
    assert models_of(place, f'[models.x]\nmodel = "{given}"') == (f"x={given}",)


def test_what_the_working_directory_has_is_not_taken_for_a_model_of_the_file(place: Path) -> None:
    assert models_of(place, 'models = ["iris"]') == ("models:/iris@production",)
    assert models_of(place, "[models.iris]") == ("iris=models:/iris@production",)
    assert models_of(place, "[models.'team-*']") == ("team-*",)


def test_a_table_without_a_model_may_be_a_directory_beside_the_file(place: Path) -> None:
    assert models_of(place, "[models.here]") == (f"here={place}/here",)


@pytest.mark.parametrize(
    ("name", "given", "resolved"),
    [
        ("registry", "./registry", "{place}/./registry"),
        ("registry", "registry", "{place}/registry"),
        ("registry", "sqlite:///r.db", "sqlite:///{place}/r.db"),
        ("registry", "sqlite:////abs/r.db", "sqlite:////abs/r.db"),
        ("registry", "postgresql://u@db/x", "postgresql://u@db/x"),
        ("registry", "http://mlflow:5000", "http://mlflow:5000"),
        ("artifacts", "packages", "{place}/packages"),
        ("artifacts", "s3://bucket/models", "s3://bucket/models"),
        ("cache", "cache", "{place}/cache"),
        ("cache", "~/cache", "~/cache"),
        ("wheels", "wheels", "{place}/wheels"),
    ],
)
def test_places_begin_at_the_file(place: Path, name: str, given: str, resolved: str) -> None:
    (place / "own.toml").write_text(f"{name} = {json.dumps(given)}")
    settings, _ = load_settings({}, {FILE_VARIABLE: "../place/own.toml"})
    assert getattr(settings, name) == resolved.format(place=place)


def test_flags_and_variables_mean_the_working_directory(place: Path) -> None:
    (place / "own.toml").write_text('registry = "r"\ncache = "c"')
    settings, _ = load_settings({"registry": "./mine"}, {"PENSTOCK_CACHE": "mine"}, place / "own.toml")
    assert (settings.registry, settings.cache) == ("./mine", "mine")


def test_in_the_files_own_directory_all_is_as_it_is_written(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)
    (place / "penstock.toml").write_text('registry = "r"\nmodels = ["./here", "iris"]')
    settings, _ = load_settings({}, {})
    assert (settings.registry, settings.models) == ("r", ("./here", "iris"))


def test_what_is_no_path_is_left_to_whoever_checks_it(place: Path) -> None:
    for content in ("models = 3", "models = [1]", "[models]\nx = 1", "[models.x]\nmodel = 1", "cache = 1"):
        (place / "own.toml").write_text(content)
        with pytest.raises(Exception, match=r"own\.toml|models|cache"):
            load_settings({}, {}, place / "own.toml")
