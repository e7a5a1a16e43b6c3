"""Every `penstock registry` command of an MLflow server: the same as of all registries, or what MLflow itself does."""

from __future__ import annotations

from pathlib import Path

import pytest

from cli.registry_commands import said, table
from services.mlflow_servers import client_of, require_mlflow, running

pytestmark = pytest.mark.services


def test_every_command_says_the_same_or_names_mlflows(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    identity_onnx_package: Path,
    iris_onnx_package: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    require_mlflow()
    monkeypatch.setenv("PENSTOCK_USER", "zoe")
    monkeypatch.setenv("PENSTOCK_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    packages = {"PACKAGE": identity_onnx_package, "OTHER": iris_onnx_package}
    options = ("--serve-artifacts", "--artifacts-destination", str(tmp_path / "artifacts"))
    with running(tmp_path, *options) as server, client_of(server.url) as client:
        assert "See: mlflow db upgrade --help" in said("migrate", server.url, packages, capfd)
        for row in table():
            if not row.is_aside:
                expected = row.says if row.of_mlflow is None else row.of_mlflow
                assert said(row.words, server.url, packages, capfd) == expected, row.words
            elif row.words.startswith("log "):
                client.log(name="iris", width=int(row.words.split()[-1]))
            else:
                client.alias(name="iris", alias="production", version="1")
