"""What a download may take, with a clock that is set by hand."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from penstock.errors import PackageInvalid, RegistryUnavailable, Unsupported
from penstock.storage.download import MAX_FILES, MIN_RATE, START_SECONDS, Download, plain_file_name
from penstock.storage.patience import call_within
from penstock.storage.schemes import require_store


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_byte_a_second_is_given_up_after_the_start() -> None:
    clock = Clock()
    download = Download("s3://b/m", clock=clock)
    for _ in range(int(START_SECONDS)):
        download.came(1)
        clock.now += 1
    clock.now += 1
    with pytest.raises(RegistryUnavailable, match="too slow"):
        download.came(1)


def test_a_slow_download_that_goes_on_is_not_given_up() -> None:
    clock = Clock()
    download = Download("s3://b/m", clock=clock)
    for _ in range(10_000):
        clock.now += 1
        download.came(MIN_RATE)


def test_small_files_buy_time_by_their_number() -> None:
    clock = Clock()
    download = Download("s3://b/m", clock=clock)
    for _ in range(1000):
        clock.now += 1
        download.came(10)
        download.file_came()


def test_bytes_and_files_are_bounded(tmp_path: Path) -> None:
    download = Download("s3://b/m", 1000)
    download.expect([400, 600], tmp_path)
    with pytest.raises(PackageInvalid, match="max_package_size"):
        download.expect([400, 601], tmp_path)
    with pytest.raises(PackageInvalid, match="too many files"):
        download.expect([0] * (MAX_FILES + 1), tmp_path)
    download.came(1000)
    with pytest.raises(PackageInvalid, match=r"larger than 1\.0 kB"):
        download.came(1)
    for _ in range(MAX_FILES):
        download.file_came()
    with pytest.raises(PackageInvalid, match="too many files"):
        download.file_came()


def test_what_the_disk_has_no_room_for_is_not_begun(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="no room"):
        Download("s3://b/m", 2**80).expect([2**70], tmp_path)


@pytest.mark.parametrize(
    "name", ["", ".", "..", "a/b", "a\\b", "a\x00", "a\n", "\x1b[2J", "\u202ea", "é" * 128, "\ud800"]
)
def test_names_that_are_not_plain(name: str) -> None:
    assert not plain_file_name(name)


@pytest.mark.parametrize("name", ["MLmodel", "model v1.skops", ".hidden", "modèle.onnx", "数.npy"])
def test_names_that_are_plain(name: str) -> None:
    assert plain_file_name(name)


@pytest.mark.parametrize(
    "url",
    [
        "ftp://host/m",
        "github://org:repo@main/m",
        "zip://m::http://127.0.0.1/m.zip",
        "s3://bucket/m::http://x",
        "simplecache::s3://bucket/m",
        "http://169.254.169.254/m",
        "sftp://host/m",
        "smb://host/m",
        "file:///etc",
        "local:///etc",
        "reference://x",
        "s3://bucket/\x1b[2J",
        "://x",
    ],
)
def test_urls_that_are_no_places_of_packages_are_refused_in_one_sentence(url: str) -> None:
    with pytest.raises(Unsupported, match="is not a place for a package") as caught:
        require_store(url)
    assert caught.value.message.isprintable()


@pytest.mark.parametrize("url", ["s3://b/m", "S3://b/m", "gs://b/m", "abfss://c@a.dfs.core.windows.net/m"])
def test_urls_of_object_stores_are_places_of_packages(url: str) -> None:
    require_store(url)


def test_a_call_that_never_returns_is_waited_for_no_longer_than_it_is_worth() -> None:
    release = threading.Event()
    with pytest.raises(TimeoutError):
        call_within(0.01, release.wait)
    release.set()
    assert call_within(10, lambda: 7) == 7
    with pytest.raises(KeyError):
        call_within(10, lambda: dict[str, int]()["x"])
