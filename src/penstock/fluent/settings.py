"""Where runs are logged to, and who we are there: MLflow's own variables, beside Penstock's."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field

from penstock.errors import ConfigError
from penstock.mlflow_credentials import MlflowCredentials
from penstock.store_places import refuse_mistyped

DEFAULT_URI = "./penstock-registry"
_DEFAULT_SPOOL_MEGABYTES = 1024


@dataclass(frozen=True)
class TrackingSettings:
    """`uri` is a server's address or an embedded store, `artifacts` where the latter keeps files if not beside it.
    `spool` is the directory for what is not delivered yet, in which at most `spool_bytes` wait."""

    uri: str = DEFAULT_URI
    credentials: MlflowCredentials = field(default_factory=MlflowCredentials)
    artifacts: str = ""
    spool: str = ""
    spool_bytes: int = _DEFAULT_SPOOL_MEGABYTES * 1024 * 1024

    @classmethod
    def from_environ(cls, environ: Mapping[str, str], uri: str = "") -> TrackingSettings:
        """`uri` is what the program said, which wins. Raises ConfigError for what cannot be used."""
        uri = uri_of(environ, uri)
        refuse_mistyped(uri)
        return cls(
            uri=uri,
            credentials=MlflowCredentials.from_environ(environ),
            artifacts=environ.get("PENSTOCK_ARTIFACTS", "").strip(),
            spool=environ.get("PENSTOCK_SPOOL", "").strip() or default_spool(environ),
            spool_bytes=_spool_bytes(environ),
        )

    @property
    def is_server(self) -> bool:
        return self.uri.lower().startswith(("http://", "https://"))


def uri_of(environ: Mapping[str, str], said: str = "") -> str:
    """Where runs go: what the program said, or else a variable."""
    penstocks, mlflows = (environ.get(f"{name}_TRACKING_URI", "").strip() for name in ("PENSTOCK", "MLFLOW"))
    return said or penstocks or mlflows or DEFAULT_URI


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
