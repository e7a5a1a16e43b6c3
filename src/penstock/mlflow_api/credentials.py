"""Who Penstock is to an MLflow server: MLflow's own variables and file."""

from __future__ import annotations

import base64
import os
from collections.abc import Mapping
from configparser import ConfigParser
from configparser import Error as ConfigParserError
from dataclasses import dataclass, field

from penstock.errors import ConfigError


@dataclass(frozen=True, slots=True)
class MlflowCredentials:
    """How to get in. A username and a password win over a token, as in MLflow; neither is ever printed."""

    username: str = ""
    password: str = field(default="", repr=False)
    token: str = field(default="", repr=False)
    workspace: str = ""
    insecure_tls: bool = False
    server_certificate: str = ""
    client_certificate: str = ""

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> MlflowCredentials:
        """MLflow's own variables, and its file of credentials. Raises ConfigError for two that cannot be combined."""

        def of(name: str) -> str:
            return environ.get(f"MLFLOW_{name}", "").strip()

        insecure = of("TRACKING_INSECURE_TLS").lower() in ("true", "1")
        if insecure and of("TRACKING_SERVER_CERT_PATH"):
            raise ConfigError(
                "MLFLOW_TRACKING_INSECURE_TLS and MLFLOW_TRACKING_SERVER_CERT_PATH cannot be combined.",
                hint="Unset one of these variables.",
            )
        username, password = _credentials_file(environ)
        return cls(
            of("TRACKING_USERNAME") or username,
            of("TRACKING_PASSWORD") or password,
            of("TRACKING_TOKEN"),
            of("WORKSPACE"),
            insecure,
            of("TRACKING_SERVER_CERT_PATH"),
            of("TRACKING_CLIENT_CERT_PATH"),
        )

    def headers(self) -> dict[str, str]:
        headers = {"X-MLFLOW-WORKSPACE": self.workspace} if self.workspace else {}
        if self.username and self.password:
            pair = base64.b64encode(f"{self.username}:{self.password}".encode()).decode()
            headers["Authorization"] = f"Basic {pair}"
        elif self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        return headers


def _credentials_file(environ: Mapping[str, str]) -> tuple[str, str]:
    """What `~/.mlflow/credentials` holds: a username and a password, or nothing."""
    parser = ConfigParser(interpolation=None)
    try:
        parser.read(os.path.join(environ.get("HOME") or os.path.expanduser("~"), ".mlflow", "credentials"), "utf-8")
        section = parser["mlflow"]
    except (KeyError, OSError, UnicodeDecodeError, ConfigParserError):
        return "", ""
    return section.get("mlflow_tracking_username", ""), section.get("mlflow_tracking_password", "")
