"""What a registry last said, kept for a start without it."""

from __future__ import annotations

import logging
import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from penstock.errors import RegistryUnavailable, VersionNotFound
from penstock.registry import ModelVersion
from penstock.registry.resolutions import LastResolution, resolve_or_recall

VERSION = ModelVersion(
    "fraud",
    "3",
    "s3://models/fraud/abc",
    datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC),
    digest="ab" * 32,
    signature={"inputs": "[]", "outputs": None},
    flavors=("onnx", "python_function"),
    size_bytes=5_000_000_000,
    description="größer ✓",
    run_id="r1",
    tags={"a": "b"},
    aliases=("canary", "production"),
    origin="models:/m-1",
    stage="Production",
    updated_at=datetime(2026, 1, 2, 4, 4, 5, 678901, tzinfo=UTC),
)


def last(
    root: Path, reference: str = "models:/fraud@production", place: str = "postgresql://db/models"
) -> LastResolution:
    return LastResolution(root, place, reference)


def test_a_resolution_comes_back_as_it_was(tmp_path: Path) -> None:
    assert last(tmp_path).recall() is None
    last(tmp_path).remember(VERSION)
    found = last(tmp_path).recall()
    assert found is not None
    assert found.version == VERSION
    assert timedelta(0) <= datetime.now(UTC) - found.seen_at < timedelta(minutes=5)
    assert last(tmp_path, "models:/fraud@canary").recall() is None
    assert last(tmp_path, place="postgresql://db/others").recall() is None
    assert [path.suffix for path in (tmp_path / "resolutions").iterdir()] == [".json"]


def test_a_resolution_is_written_when_it_changes(tmp_path: Path) -> None:
    kept = last(tmp_path)
    kept.remember(VERSION)
    before = os.stat(kept.path).st_ino
    kept.remember(VERSION)
    assert os.stat(kept.path).st_ino == before


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b'{"version": {}, "seen_at": ""}', b"\xff" * 100])
def test_what_cannot_be_read_is_as_good_as_nothing(
    tmp_path: Path, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    kept = last(tmp_path)
    kept.remember(VERSION)
    kept.path.write_bytes(content)
    assert kept.recall() is None
    assert "cannot be read" in caplog.text
    last(tmp_path).remember(VERSION)
    assert last(tmp_path).recall() is not None


def test_where_nothing_can_be_written_it_says_so_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").touch()
    kept = last(tmp_path / "file")
    with caplog.at_level(logging.WARNING):
        kept.remember(VERSION)
        kept.remember(VERSION)
    assert caplog.text.count("cannot be saved") == 1
    assert kept.recall() is None


def test_a_number_that_is_used_again_is_another_version(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    kept = last(tmp_path)
    kept.remember(VERSION)
    anew = replace(VERSION, created_at=VERSION.created_at + timedelta(days=1))
    kept.remember(anew)
    kept.remember(anew)
    assert caplog.text.count("version 3 was deleted and registered again") == 1
    assert last(tmp_path).recall().version == VERSION  # type: ignore[union-attr]
    last(tmp_path).remember(anew)
    assert last(tmp_path).recall().version == anew  # type: ignore[union-attr]


def test_a_version_by_its_number_is_known_while_the_registry_is_away(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def away() -> ModelVersion:
        raise RegistryUnavailable("It cannot be reached.")

    def gone() -> ModelVersion:
        raise VersionNotFound("It was deleted.")

    with pytest.raises(RegistryUnavailable):
        resolve_or_recall(away, last(tmp_path))
    assert resolve_or_recall(lambda: VERSION, last(tmp_path)) == VERSION
    assert resolve_or_recall(away, last(tmp_path)) == VERSION
    assert "using version 3 of fraud as resolved on 20" in caplog.text
    with pytest.raises(VersionNotFound):
        resolve_or_recall(gone, last(tmp_path))
