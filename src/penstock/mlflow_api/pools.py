"""Connections to the server at an address: what the address must be, through which proxy, with which certificates."""

from __future__ import annotations

import ssl
import warnings
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import urllib3
from urllib3.exceptions import InsecureRequestWarning

from penstock.errors import ConfigError
from penstock.mlflow_api.connections import POOLS
from penstock.mlflow_credentials import MlflowCredentials


def parse_address(url: str) -> Any:
    """Its parts. Raises ConfigError."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ConfigError(
            "The address of the MLflow server cannot be read.", hint="Write the address as http://host:5000"
        ) from None
    if not parts.hostname or port == 0:
        raise ConfigError("The address of the MLflow server has no host.", hint="Write the address as http://host:5000")
    if parts.query or parts.fragment:
        raise ConfigError(
            "The address of the MLflow server has more parts than scheme, host, port and path.",
            hint="Give the address as in MLFLOW_TRACKING_URI, not as a browser shows it.",
        )
    return parts


def pool_of(place: str, host: str, access: MlflowCredentials) -> urllib3.PoolManager:
    """Raises ConfigError where a certificate cannot be used."""
    options: dict[str, Any] = {"maxsize": 8}
    if place.startswith("https:"):
        options["ssl_context"] = _tls(access)
    proxy = getproxies().get(place.partition(":")[0])
    if proxy and not proxy_bypass(host):
        pool: urllib3.PoolManager = urllib3.ProxyManager(proxy if "://" in proxy else f"http://{proxy}", **options)
    else:
        pool = urllib3.PoolManager(**options)
    pool.pool_classes_by_scheme = POOLS  # their connections keep deadlines
    return pool


def _tls(access: MlflowCredentials) -> ssl.SSLContext:
    context = access.tls()
    if access.insecure_tls:
        warnings.simplefilter("ignore", InsecureRequestWarning)  # it was asked for
    return context


def same_server(url: str, to: str) -> bool:
    """Whether a redirect stays where it is, or goes from a host's usual port to the same host's usual port of TLS."""
    (scheme, host, port), there = origin(url), origin(to)
    return there == (scheme, host, port) or ((scheme, port) == ("http", 80) and there == ("https", host, 443))


def origin(url: str) -> tuple[str, str, int | None]:
    """Scheme, host and port."""
    parts = urlsplit(url)
    try:
        port = parts.port
    except ValueError:
        port = -1
    scheme = parts.scheme.lower()
    return scheme, (parts.hostname or "").lower(), port or {"http": 80, "https": 443}.get(scheme)
