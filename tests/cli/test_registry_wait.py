"""Waiting for gateways: what their answers mean, when the wait ends, and the whole of it against real ones."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from penstock.cli.registry.commands import registry as group
from penstock.cli.registry.wait import Gateways, Standing, check_urls, standing, wait
from penstock.errors import ConfigError
from penstock.registry import Registry
from server import test_swap
from server.conftest import Launch, launch  # noqa: F401  (a fixture)

registry = test_swap.registry  # the fixture

FAILED = {
    "version": "3", "code": "proof_failed", "message": "It differs.", "since": "2026-11-25T20:00:00+00:00",
    "attempts": 2, "final": False,
}  # fmt: skip


@pytest.mark.parametrize(
    ("status", "answer", "outcome", "said"),
    [
        (200, {"version": "3", "in_every_worker": True, "failure": None}, "serves", "version 3 answers"),
        (200, {"version": "3", "in_every_worker": False}, "waiting", "not yet in every worker"),
        (200, {"version": "3", "settled": False}, "waiting", "not yet in every worker"),  # of an older gateway
        (200, {"version": "2", "in_every_worker": True, "failure": None}, "waiting", "version 2 answers"),
        (200, {"version": None}, "waiting", "no version answers"),
        (200, {"version": "2", "failure": FAILED}, "refused", "(2 tries since 2026-11-25T20:00:00+00:00), version 2"),
        (200, {"version": "2", "failure": FAILED}, "refused", "It differs."),
        (200, {"version": "2", "failure": {**FAILED, "code": "worker_lost"}}, "waiting", "It differs."),
        (200, {"version": "2", "failure": {**FAILED, "version": "4"}}, "waiting", "version 2 answers"),
        (404, {"error_code": "RESOURCE_DOES_NOT_EXIST"}, "waiting", "does not serve the model"),
        (401, {"error_code": "UNAUTHENTICATED"}, "refused", "PENSTOCK_API_TOKEN"),
        (200, "hello", "waiting", "not a gateway's answer"),
        (502, None, "waiting", "status 502"),
    ],
)
def test_an_answer_of_a_gateway_is_serving_waiting_or_refused(
    status: int, answer: Any, outcome: str, said: str
) -> None:
    found = standing("http://a", "3", status, answer)
    assert found.outcome == outcome
    assert said in found.detail


class TestTheLoop:
    """On a clock that only sleeping moves."""

    def run(self, rounds: Iterator[list[str]], seconds: float = 10.0) -> tuple[list[str], float]:
        time = 0.0

        def sleep(seconds: float) -> None:
            nonlocal time
            time += seconds

        ask = lambda: [Standing("u", outcome, "") for outcome in next(rounds)]  # type: ignore[arg-type]  # noqa: E731
        found = wait(ask, seconds, lambda standings: None, clock=lambda: time, sleep=sleep)
        return [s.outcome for s in found], time

    def test_waiting_ends_when_all_serve(self) -> None:
        rounds = iter([["waiting", "serves"], ["serves", "serves"]])
        outcomes, time = self.run(rounds)
        assert outcomes == ["serves", "serves"]
        assert time == pytest.approx(0.2)

    def test_gateways_that_refused_are_not_waited_for(self) -> None:
        assert self.run(iter([["refused", "waiting"], ["refused", "serves"]]))[0] == ["refused", "serves"]

    def test_waiting_ends_when_time_is_up(self) -> None:
        outcomes, time = self.run(iter([["waiting"]] * 100), 1.0)
        assert outcomes == ["waiting"]
        assert time == pytest.approx(1.0)

    def test_without_time_each_gateway_is_asked_once(self) -> None:
        assert self.run(iter([["waiting"]]), 0.0) == (["waiting"], 0.0)


def test_an_address_is_checked_before_anything_moves() -> None:
    assert check_urls(["http://a:8080/", "https://b"]) == ["http://a:8080", "https://b"]
    for url in ("a:8080", "ftp://a", "http://"):
        with pytest.raises(ConfigError, match="not a gateway's address"):
            check_urls([url])


def test_a_gateway_that_cannot_be_reached_is_waited_for() -> None:
    (found,) = Gateways(["http://127.0.0.1:1"], "m", "").ask("1")
    assert (found.outcome, found.detail.startswith("the gateway cannot be reached")) == ("waiting", True)


def test_promoting_and_going_back_wait_for_real_gateways(
    launch: Launch,  # noqa: F811
    registry: Registry,
    tmp_path: Path,
) -> None:
    place = tmp_path / "registry"
    token = {"PENSTOCK_API_TOKEN": "s3cret"}
    arguments = ("moving", "--registry", place, "--poll-interval", "0.2")
    started = [launch(*arguments, "-w", 2, **token), launch("other=moving", *arguments[1:], **token)]
    crew, one = [server.wait_ready().url for server in started]

    def run(*words: object, token: str = "s3cret") -> Result:
        environment = {"PENSTOCK_API_TOKEN": token, "PENSTOCK_REGISTRY": str(place)}
        return CliRunner().invoke(group, list(map(str, words)), env=environment)

    done = run("promote", "moving", 2, "--wait", crew, "--wait-timeout", 50)
    assert done.exit_code == 0, done.output
    assert done.stdout.splitlines() == [
        "moving@production moved from version 1 to version 2.",
        f"{crew}: version 2 answers",
    ]
    for number in (1, 2):  # it is true of all workers
        assert f"[worker {number}] moving: now serving version 2" in started[0].stderr
    done = run("promote", "moving", 3, "--wait", crew, "--wait-timeout", 50, "--json")  # which fails its example
    assert done.exit_code == 1
    (found,) = json.loads(done.stdout)["gateways"]
    assert found["outcome"] == "refused"
    assert "version 2 answers" in found["said"]
    assert "does not repeat its recorded answer" in found["said"]
    done = run("promote", "moving", 3, "--wait", one, "--wait-as", "other", "--wait-timeout", 50)
    assert done.exit_code == 1
    assert "does not repeat its recorded answer" in done.stderr
    done = run("rollback", "moving", "--wait", crew, "--wait-timeout", 50)
    assert (done.exit_code, done.stdout.splitlines()[-1]) == (0, f"{crew}: version 2 answers")
    done = run("rollback", "moving", "--wait", one, "--wait-timeout", 0.1)
    assert done.exit_code == 1
    assert f"{one}: the gateway does not serve the model, and the time is up" in done.stderr
    done = run("promote", "moving", 1, "--wait", crew, token="wrong")
    assert done.exit_code == 1
    assert "PENSTOCK_API_TOKEN" in done.stderr
