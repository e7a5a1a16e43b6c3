"""Who Penstock is to an MLflow server or a hub: MLflow's own variables and file.

The client of programs stands on it, too, so it is of the standard library and of Python 3.9.
"""

from __future__ import annotations

import base64
import os
import ssl
from collections.abc import Mapping
from configparser import ConfigParser
from configparser import Error as ConfigParserError
from dataclasses import dataclass, field

from penstock.errors import ConfigError


@dataclass(frozen=True)
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

    def tls(self) -> ssl.SSLContext:
        """How a server is known, and how we are known to it. Raises ConfigError where a certificate cannot be used."""
        where = self.server_certificate
        try:
            context = ssl.create_default_context()
            if where:
                context.load_verify_locations(**({"capath": where} if os.path.isdir(where) else {"cafile": where}))
            if self.client_certificate:
                context.load_cert_chain(self.client_certificate)
        except OSError as error:
            raise ConfigError(
                f"A certificate cannot be used: {error.strerror or error}.",
                hint="See MLFLOW_TRACKING_SERVER_CERT_PATH and MLFLOW_TRACKING_CLIENT_CERT_PATH.",
            ) from None
        if self.insecure_tls:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context


def _credentials_file(environ: Mapping[str, str]) -> tuple[str, str]:
    """What `~/.mlflow/credentials` holds: a username and a password, or nothing."""
    parser = ConfigParser(interpolation=None)
    try:
        parser.read(os.path.join(environ.get("HOME") or os.path.expanduser("~"), ".mlflow", "credentials"), "utf-8")
        section = parser["mlflow"]
    except (KeyError, OSError, UnicodeDecodeError, ConfigParserError):
        return "", ""
    return section.get("mlflow_tracking_username", ""), section.get("mlflow_tracking_password", "")
