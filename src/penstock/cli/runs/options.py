"""The options that the `penstock runs` commands share, and how they open the place that holds the runs."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from penstock.cli.runs.reading.source import RunSource

F = TypeVar("F", bound=Callable[..., Any])

tracking_option = click.option(
    "--tracking",
    metavar="URL",
    default="",
    help="Where the runs are: the http://… of a hub or an MLflow server, a directory, or a database's URL.  [default: "
    "./penstock-registry]  [PENSTOCK_TRACKING_URI, MLFLOW_TRACKING_URI]",
)
# What to look at, by the status of an answer; 0 where there was none.
_HINTS = {
    0: "Is the {place} there (penstock hub starts one)? Another place is named with --tracking.",
    404: "Is that the address of a hub, or of an MLflow server? Another place is named with --tracking.",
}

json_option = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")


def experiment_option(help_text: str) -> Callable[[F], F]:
    """-e, which may be repeated; a name or an id."""
    return click.option("-e", "--experiment", "experiments", multiple=True, metavar="EXPERIMENT", help=help_text)


@contextmanager
def opened(tracking: str) -> Iterator[RunSource]:
    """At the place that was typed, else that of a variable, else the embedded store. Raises ConfigError,
    TrackingUnavailable, and what opening a database raises."""
    from penstock.cli.runs.reading.source import RunSource
    from penstock.cli.runs.reading.stores import existing
    from penstock.errors import PenstockError, TrackingRefused, TrackingUnavailable
    from penstock.fluent.settings import TrackingSettings
    from penstock.fluent.transport.opening import open_transport

    settings = TrackingSettings.from_environ(os.environ, tracking)
    transport = open_transport(settings if settings.is_server else existing(settings))
    try:
        yield RunSource(transport)
    except (TrackingUnavailable, TrackingRefused) as error:
        if isinstance(error.__cause__, PenstockError):  # which says what to do, and names the place
            raise error.__cause__ from None
        if not error.hint and error.status in _HINTS:
            error.hint = _HINTS[error.status].format(place="server" if settings.is_server else "store")
        raise
    finally:
        transport.close()
