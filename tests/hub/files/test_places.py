"""Where files may be: what a stranger names as a location, and what the hub reads of it."""

from __future__ import annotations

import pytest

from penstock.errors import TrackingInvalid
from penstock.hub.files.places import check_location

GOOD = [
    "",
    "s3://bucket/prefix",
    "s3://bucket/a%20b",
    "gs://bucket",
    "/shared/artifacts",
    "file:///shared/artifacts",
    "mlflow-artifacts:/team",
    "wasbs://container@account.blob.core.windows.net/a",
    "dbfs:/a",
]
BAD = [
    "http://evil.example/a",
    "HTTPS://evil.example/a",
    "ftp://evil.example/a",
    "sftp://user:word@evil.example/a",
    "hdfs://evil.example:8020/a",
    "abfss://files@evil.example/a",
    "mlflow-artifacts://evil.example/a",
    "mlflow-artifacts://evil.example:80/a",
    "mlflow-artifacts:/../../etc",
    "mlflow-artifacts:/%2e%2e/etc",
    "mlflow-artifacts:/a%252f%252e%252e",
    "runs:/abc/model",
    "models:/m/1",
    "s3://bucket/a#b",
    "s3://bucket/a%23b",
    "s3://bucket/a;b",
    "s3://bucket/../other",
    "s3://bucket/%2e%2e/other",
    "s3://bucket/a?b=..",
    "s3://bucket/a?b=%2e%2e",
    "simplecache::s3://bucket",
    "s3://bucket/\x00",
    "s3://bucket/%0d%0aX:1",
    "/a\\..\\b",
    "/shared/%25252525252525252525252525252525252e",
]


@pytest.mark.parametrize("location", GOOD)
def test_locations_are_kept_as_given(location: str) -> None:
    assert check_location(location, "/artifacts") == location


@pytest.mark.parametrize("location", BAD)
def test_locations_that_lead_elsewhere(location: str) -> None:
    with pytest.raises(TrackingInvalid) as raised:
        check_location(location, "/artifacts")
    assert raised.value.field in ("artifact_location", "path")
    assert all(32 <= ord(letter) < 127 for letter in str(raised.value))
