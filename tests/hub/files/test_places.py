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
    "s3a://bucket/a",
    "gcs://bucket",
    "S3://Bucket_1/a",
    "az://container/a",
    "relative/runs",
    "./runs",
    "file:///C:/runs",
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
    "ssh://evil.example/a",
    "oss://evil.example/a",
    "github://user:word@evil.example/",
    "wasbs://container@evil.example/a",
    "wasbs://container@account.blob.core.windows.net.evil.example/a",
    "wasbs://container@account.blob.core.windows.net:80/a",
    "abfs://files@evil.example/a",
    "dbfs://evil.example/a",
    "s3://",
    "s3:///a",
    "s3:/bucket/a",
    "s3://user@bucket/a",
    "s3://169.254.169.254/a",
    "s3://bucket:80/a",
    "s3://buck%65t/a",
    "s3://[/a",
    " s3://bucket/a",
    "s3://bucket/a?endpoint_url=http://169.254.169.254",
    "s3://bucket/a%3Fendpoint_url=x",
    "s3://bucket/./a",
    "s3://bucket/a::file:///etc",
    "simplecache%3A%3As3://bucket",
    "local:///etc",
    "memory://a",
    "sqlite:///a",
    "nonsense://x",
    "under_score://x",
    "C:\\a",
    "\\\\host\\share",
    "//host/share",
    "file://host/share",
    "file:etc",
]


@pytest.mark.parametrize("location", GOOD)
def test_locations_are_kept_as_given(location: str) -> None:
    assert check_location(location, "/artifacts") == location


def test_the_store_of_the_hubs_own_files_may_be_named() -> None:
    """Whatever it is: who runs the hub has said that it is connected to."""
    assert check_location("abfss://files@own.example/team", "abfss://files@own.example/artifacts")
    with pytest.raises(TrackingInvalid):
        check_location("abfss://files@evil.example/team", "abfss://files@own.example/artifacts")


@pytest.mark.parametrize("location", BAD)
def test_locations_that_lead_elsewhere(location: str) -> None:
    with pytest.raises(TrackingInvalid) as raised:
        check_location(location, "/artifacts")
    assert raised.value.field in ("artifact_location", "path")
    assert all(32 <= ord(letter) < 127 for letter in str(raised.value))
