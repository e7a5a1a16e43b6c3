"""For locust files: the server that they start themselves where no --host is given, and how a run is judged."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from locust import events
from locust.env import Environment
from models import make, register
from servers import ROOT, penstock

DIRECTORY = ROOT / "build" / "loadtests"


def defaults(**values: Any) -> None:
    """Options of locust that this file runs with unless told otherwise."""

    @events.init_command_line_parser.add_listener
    def _(parser: Any) -> None:
        parser.set_defaults(**values)


def add_registry_option(parser: Any) -> None:
    parser.add_argument("--registry", default="", help="with --host: the registry whose `adds` the host serves")


def serve(*packages: str, registry: bool = False) -> None:
    """Without --host: a server of these packages for as long as the run takes. With `registry`: of `adds` in a registry
    of its own, whose address becomes the option --registry."""
    stack = ExitStack()
    if registry:
        events.init_command_line_parser.add_listener(add_registry_option)

    @events.init.add_listener
    def _(environment: Environment, **_: object) -> None:
        make(DIRECTORY / "models")
        if environment.host:
            return
        arguments: tuple[str, ...] = ()
        models: list[Path | str] = [DIRECTORY / "models" / name for name in packages]
        if registry:
            import tempfile

            place = stack.enter_context(tempfile.TemporaryDirectory())
            register(place, DIRECTORY / "models", "adds")
            environment.parsed_options.registry = place
            arguments, models = ("--registry", place, "--poll-interval", "0.5"), ["adds"]
        environment.host = stack.enter_context(penstock(*models, arguments=arguments)).url

    @events.quit.add_listener
    def _(**_: object) -> None:
        stack.close()


def judge(problems: Callable[[Environment], list[str]]) -> None:
    """In the end: names what is wrong, and ends locust with 1 for that, for any failed request, and for no request."""

    @events.quitting.add_listener
    def _(environment: Environment, **_: object) -> None:
        found = problems(environment)
        total = environment.stats.total
        if total.num_failures:
            found.append(f"{total.num_failures} of {total.num_requests} requests failed.")
        if not total.num_requests:
            found.append("Nothing was answered.")
        for problem in found:
            print(f"FAIL: {problem}", file=sys.stderr)
        if not found:
            print("pass", file=sys.stderr)
        environment.process_exit_code = 1 if found else 0
