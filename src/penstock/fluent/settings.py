"""Where runs are logged to, and who we are there: MLflow's own variables, beside Penstock's."""

from __future__ import annotations

import base64
import os
import tempfile
from collections.abc import Mapping
from configparser import ConfigParser
from configparser import Error as ConfigParserError
from dataclasses import dataclass, field

from penstock.errors import ConfigError

DEFAULT_URI = "./penstock-registry"
_DEFAULT_SPOOL_MEGABYTES = 1024


@dataclass(frozen=True)
class TrackingSettings:
    """`uri` is a server's address or an embedded store, `artifacts` where the latter keeps files if not beside it.
    `spool` is the directory for what is not delivered yet, in which at most `spool_bytes` wait. A username and a
    password win over a token; none of them is ever printed."""

    uri: str = DEFAULT_URI
    username: str = ""
    password: str = field(default="", repr=False)
    token: str = field(default="", repr=False)
    workspace: str = ""
    insecure_tls: bool = False
    server_certificate: str = ""
    client_certificate: str = ""
    artifacts: str = ""
    spool: str = ""
    spool_bytes: int = _DEFAULT_SPOOL_MEGABYTES * 1024 * 1024

    @classmethod
    def from_environ(cls, environ: Mapping[str, str], uri: str = "") -> TrackingSettings:
        """`uri` is what the program said, which wins. Raises ConfigError for what cannot be used."""

        def of(name: str) -> str:
            return environ.get(f"MLFLOW_TRACKING_{name}", "").strip()

        insecure = of("INSECURE_TLS").lower() in ("true", "1")
        if insecure and of("SERVER_CERT_PATH"):
            raise ConfigError(
                "MLFLOW_TRACKING_INSECURE_TLS and MLFLOW_TRACKING_SERVER_CERT_PATH cannot be combined.",
                hint="Unset one of these variables.",
            )
        username, password = _credentials_file(environ)
        return cls(
            uri=uri or environ.get("PENSTOCK_TRACKING_URI", "").strip() or of("URI") or DEFAULT_URI,
            username=of("USERNAME") or username,
            password=of("PASSWORD") or password,
            token=of("TOKEN"),
            workspace=environ.get("MLFLOW_WORKSPACE", "").strip(),
            insecure_tls=insecure,
            server_certificate=of("SERVER_CERT_PATH"),
            client_certificate=of("CLIENT_CERT_PATH"),
            artifacts=environ.get("PENSTOCK_ARTIFACTS", "").strip(),
            spool=environ.get("PENSTOCK_SPOOL", "").strip() or default_spool(environ),
            spool_bytes=_spool_bytes(environ),
        )

    @property
    def is_server(self) -> bool:
        return self.uri.lower().startswith(("http://", "https://"))

    def headers(self) -> dict[str, str]:
        headers = {"User-Agent": "penstock", "Accept": "application/json"}
        if self.workspace:
            headers["X-MLFLOW-WORKSPACE"] = self.workspace
        if self.username and self.password:
            pair = base64.b64encode(f"{self.username}:{self.password}".encode()).decode()
            headers["Authorization"] = f"Basic {pair}"
        elif self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        return headers


def default_spool(environ: Mapping[str, str]) -> str:
    """A directory of the user's own; below the directory for temporary files where there is no home to write to."""
    state = environ.get("XDG_STATE_HOME") or os.path.join(os.path.expanduser("~"), ".local", "state")
    home = os.path.expanduser("~")
    if os.path.isabs(state) and (os.access(state, os.W_OK) or os.access(home, os.W_OK)):
        return os.path.join(state, "penstock", "spool")
    who = str(os.getuid()) if hasattr(os, "getuid") else "user"
    return os.path.join(tempfile.gettempdir(), f"penstock-spool-{who}")


def _spool_bytes(environ: Mapping[str, str]) -> int:
    text = environ.get("PENSTOCK_SPOOL_MB", "").strip()
    if not text:
        return _DEFAULT_SPOOL_MEGABYTES * 1024 * 1024
    if not (text.isascii() and text.isdigit() and int(text)):
        raise ConfigError(
            f"PENSTOCK_SPOOL_MB is {text[:40]!r}, which is no number of megabytes.", hint="Give a whole number above 0."
        )
    return int(text) * 1024 * 1024


def _credentials_file(environ: Mapping[str, str]) -> tuple[str, str]:
    """What `~/.mlflow/credentials` holds: a username and a password, or nothing."""
    parser = ConfigParser(interpolation=None)
    try:
        parser.read(os.path.join(environ.get("HOME") or os.path.expanduser("~"), ".mlflow", "credentials"), "utf-8")
        section = parser["mlflow"]
    except (KeyError, OSError, UnicodeDecodeError, ConfigParserError):
        return "", ""
    return section.get("mlflow_tracking_username", ""), section.get("mlflow_tracking_password", "")
