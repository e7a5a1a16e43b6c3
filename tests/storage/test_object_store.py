"""Object stores: errors of all drivers translated into those of whoever uses the store, with what to do about them."""

from __future__ import annotations

from pathlib import Path

import pytest

from penstock.errors import ConfigError, DependencyMissing, PenstockError, ScoringError
from penstock.storage.files import file_store_of
from penstock.storage.object_store import CONNECT_TIMEOUT, READ_TIMEOUT, Listed, ObjectStore, StoreErrors
from support.http_stand_in import answering

pytest.importorskip("fsspec")


class Denied(PenstockError):
    pass


class NoBucket(PenstockError):
    pass


class Unavailable(PenstockError):
    pass


ERRORS = StoreErrors(ConfigError, Denied, NoBucket, Unavailable)


@pytest.fixture
def store(bucket: str) -> ObjectStore:
    return ObjectStore(bucket, ERRORS)


def test_files_are_written_listed_read_and_removed(store: ObjectStore, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"put")
    store.put(tmp_path / "file", f"{store.url}/a/put")
    store.write(b"12345", f"{store.url}/a/b/written")
    listed = store.files_below(f"{store.url}/a")
    assert {name: file.size for name, file in listed.items()} == {"put": 3, "b/written": 5}
    assert store.describe(f"{store.url}/a/put") == listed["put"]
    assert store.describe(f"{store.url}/a") is None
    assert store.is_directory(f"{store.url}/a")
    assert store.matches(f"{store.url}/a/p*") == [f"{store.url}/a/put"]
    with store.open(f"{store.url}/a/b/written") as file:
        file.seek(2)
        assert file.read() == b"345"
    for _ in range(2):
        store.remove(f"{store.url}/a/put")
    with pytest.raises(FileNotFoundError):
        store.describe(f"{store.url}/a/put")


def test_a_mark_changes_with_the_content(store: ObjectStore) -> None:
    def listed(content: bytes) -> Listed:
        store.write(content, f"{store.url}/file")
        return store.files_below(store.url)["file"]

    assert listed(b"one") == listed(b"one") != listed(b"two")


@pytest.mark.usefixtures("bucket")
def test_a_bucket_that_does_not_exist_names_the_endpoint() -> None:
    store = ObjectStore("s3://no-such-bucket", ERRORS)
    for use in (lambda: store.write(b"", "s3://no-such-bucket/a"), lambda: store.files_below("s3://no-such-bucket/a")):
        with pytest.raises(NoBucket, match="s3://no-such-bucket does not exist") as caught:
            use()
        assert "AWS_ENDPOINT_URL" in caught.value.hint


def test_the_driver_is_given_timeouts(store: ObjectStore) -> None:
    config = store.driver.config_kwargs
    assert (config["connect_timeout"], config["read_timeout"]) == (CONNECT_TIMEOUT, READ_TIMEOUT)
    assert store.driver.retries == 2


def test_a_driver_that_is_missing_says_what_to_install() -> None:
    with pytest.raises(DependencyMissing, match="need a storage driver") as caught:
        file_store_of("az://container/rows.csv")
    assert caught.value.hint == "Install it with: pip install 'adlfs'"


def test_scoring_is_told_about_credentials(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    said = b'<?xml version="1.0"?><Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>'
    with answering(403, said.decode()) as endpoint:
        monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
        with pytest.raises(ScoringError, match=f"Access to {bucket}/rows.csv is denied") as caught:
            file_store_of(f"{bucket}/rows.csv").read(f"{bucket}/rows.csv")
    assert "AWS_ACCESS_KEY_ID" in caught.value.hint
