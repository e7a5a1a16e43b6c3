"""`penstock ping`: asks a server on this machine how it is, for health checks of containers that have no curl."""

from __future__ import annotations

import http.client
import os
import sys
from pathlib import Path

import click


@click.command()
@click.option("--ready", is_flag=True, help="Check that every model is loaded, not only that the server is alive.")
@click.option("--hub", is_flag=True, help="Ask a hub.")
@click.option("--port", type=int, help="The server's port.  [PENSTOCK_PORT, for a hub PENSTOCK_HUB_PORT]")
@click.option("--config", "file", type=click.Path(path_type=Path), help="The settings file. Default: ./penstock.toml")
@click.option("--wait", "seconds", type=float, default=3.0, show_default=True, help="How long to wait, in seconds.")
def ping(ready: bool, hub: bool, port: int | None, file: Path | None, seconds: float) -> None:
    """Check that the server on this machine (or in this container) is alive. Exit code 0 if it is, 1 if not.

    The port comes from the same variables and penstock.toml as for penstock serve, or those of penstock hub.

    \b
    Examples:
      penstock ping
      penstock ping --ready --port 9000
      penstock ping --hub
    """
    host, found = _hubs_address(port) if hub else _gateways_address(port, file)
    host = _LOOPBACK.get(host, host)
    path = "/health" if hub else "/readyz" if ready else "/livez"
    asked = f"http://{f'[{host}]' if ':' in host else host}:{found}{path}"
    connection = http.client.HTTPConnection(host, found, timeout=seconds)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        text = answer.read(2000).decode("utf-8", "replace")
    except (OSError, http.client.HTTPException) as error:
        click.echo(f"{asked} does not answer: {error}.", err=True)
        sys.exit(1)
    finally:
        connection.close()
    click.echo(text.strip())
    if answer.status != 200:
        click.echo(f"{asked} answers {answer.status}.", err=True)
        sys.exit(1)


def _gateways_address(port: int | None, file: Path | None) -> tuple[str, int]:
    from penstock.config import load_settings

    settings, _ = load_settings({} if port is None else {"port": port}, os.environ, file)
    return settings.host, settings.port


def _hubs_address(port: int | None) -> tuple[str, int]:
    from penstock.cli.hub.options import DEFAULT_PORT, PortType

    found = port or PortType(0, 65535).convert(os.environ.get("PENSTOCK_HUB_PORT") or DEFAULT_PORT, None, None)
    return os.environ.get("PENSTOCK_HUB_HOST", "127.0.0.1"), found


# A server that listens on every address is asked on this one.
_LOOPBACK = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}
