"""MLflow's variables are honoured, beside Penstock's own."""

from __future__ import annotations

from pathlib import Path

import pytest

from penstock.errors import ConfigError
from penstock.fluent.settings import TrackingSettings
from penstock.mlflow_credentials import MlflowCredentials


@pytest.mark.parametrize(
    ("environ", "said", "uri"),
    [
        ({}, "", "./penstock-registry"),
        ({"MLFLOW_TRACKING_URI": "http://b"}, "", "http://b"),
        ({"MLFLOW_TRACKING_URI": "http://b", "PENSTOCK_TRACKING_URI": "http://a"}, "", "http://a"),
        ({"PENSTOCK_TRACKING_URI": "http://a"}, "http://c", "http://c"),
    ],
)
def test_the_programs_word_counts_before_variables(environ: dict[str, str], said: str, uri: str) -> None:
    assert TrackingSettings.from_environ(environ, said).uri == uri


def test_credentials_come_from_mlflows_file_and_are_not_printed(tmp_path: Path) -> None:
    (tmp_path / ".mlflow").mkdir()
    text = "[mlflow]\nmlflow_tracking_username = ann\nmlflow_tracking_password = s3cret%\n"
    (tmp_path / ".mlflow" / "credentials").write_text(text)
    settings = TrackingSettings.from_environ({"HOME": str(tmp_path), "MLFLOW_TRACKING_TOKEN": "t0ken"})
    assert settings.credentials == MlflowCredentials("ann", "s3cret%", "t0ken")
    assert "s3cret" not in repr(settings)
    assert "t0ken" not in repr(settings)


def test_two_ways_of_tls_cannot_be_combined() -> None:
    both = {"MLFLOW_TRACKING_INSECURE_TLS": "true", "MLFLOW_TRACKING_SERVER_CERT_PATH": "ca.pem"}
    with pytest.raises(ConfigError, match="cannot be combined"):
        TrackingSettings.from_environ(both)


@pytest.mark.parametrize("text", ["much", "-1", "1.5"])
def test_a_size_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="PENSTOCK_SPOOL_MB"):
        TrackingSettings.from_environ({"PENSTOCK_SPOOL_MB": text})
    assert TrackingSettings.from_environ({"PENSTOCK_SPOOL_MB": "2"}).spool_bytes == 2 * 1024 * 1024
