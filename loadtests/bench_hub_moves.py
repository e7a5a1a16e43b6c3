"""make bench-hub-moves: how soon a gateway that follows a hub hears of a promotion, and what it costs when many wait.

A waiter asks for the state of the aliases as a gateway does, another client promotes, and the time from the promotion's
answer to the waiter's is noted: over SQLite, over PostgreSQL with two workers, and with two hubs over one PostgreSQL,
where the one that is waited for is not the one that is told. Then many wait, while runs are logged, and the processor
time of the hub is noted beside that of the same logging without them.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from time import perf_counter, sleep

import psutil
from hub_client import HubClient
from hub_process import PENSTOCK, cpu_seconds, hub_process
from own_postgres import postgres

_IDLE_SECONDS = 10.0
_STATE = "/api/penstock/v1/registry/aliases/state"


def main() -> int:
    options = _options()
    options.out.mkdir(parents=True, exist_ok=True)
    late = 0.0
    for name in options.only:
        with tempfile.TemporaryDirectory(prefix="hub-moves-", dir=options.out) as place, ExitStack() as opened:
            hubs = [opened.enter_context(hub) for hub in _hubs(name, Path(place), opened)]
            urls = [url for url, _, _ in hubs]
            _prepare(HubClient(urls[0]))
            times = _times(urls[0], urls[-1], options.rounds)
            with _waiting(urls[-1], urls[0], options.waiters):
                crowded = _times(urls[0], urls[-1], max(options.rounds // 4, 5))
                with_them = _idle_and_logging(urls[-1], hubs[-1][1], options.logged)
            without = _idle_and_logging(urls[-1], hubs[-1][1], options.logged)
        late = max(late, max(times))
        print(
            f"{name}: {1000 * median(times):.0f} ms (median), {1000 * max(times):.0f} ms (the longest of {len(times)}); "
            f"with {options.waiters} others {1000 * median(crowded):.0f} and {1000 * max(crowded):.0f} ms; "
            f"the hub takes {with_them[0]:.1%} of a processor idle with them, {without[0]:.1%} without; "
            f"{options.logged} metrics cost it {with_them[1]:.2f} s with them, {without[1]:.2f} s without",
            flush=True,
        )
    return 0 if late <= options.most else 1


def _hubs(name: str, place: Path, opened: ExitStack) -> Iterator:
    if name == "sqlite":
        yield hub_process(place, str(place / "store"), "--artifacts", str(place / "files"))
        return
    data = opened.enter_context(tempfile.TemporaryDirectory(prefix="pg-", ignore_cleanup_errors=True))
    url = opened.enter_context(postgres(Path(data)))
    subprocess.run([PENSTOCK, "hub", "--store", url, "migrate"], check=True, stdout=subprocess.DEVNULL)
    options = ("--artifacts", str(place / "files"))
    if name == "workers":
        yield hub_process(place, url, *options, "--workers", "2")
        return
    for _ in range(2):
        yield hub_process(place, url, *options)


def _prepare(client: HubClient) -> None:
    client.post("registered-models/create", {"name": "fraud"})
    for number in range(2):
        client.post("model-versions/create", {"name": "fraud", "source": f"s3://bucket/{number}"})


def _promote(client: HubClient, version: str) -> None:
    client.post("registered-models/alias", {"name": "fraud", "alias": "production", "version": version})


def _times(told: str, asked: str, rounds: int) -> list[float]:
    """Seconds from a promotion's answer to that of whoever waits."""
    client, times = HubClient(told), []
    for number in range(rounds):
        waiter = HubClient(asked)
        before = json.loads(waiter.get(_STATE))["state"]
        heard: list[float] = []

        def wait(waiter: HubClient = waiter, before: str = before, heard: list[float] = heard) -> None:
            while json.loads(waiter.get(_STATE, after=before, seconds=20))["state"] == before:
                continue
            heard.append(perf_counter())

        thread = threading.Thread(target=wait)
        thread.start()
        sleep(0.3)
        _promote(client, str(1 + number % 2))
        moved = perf_counter()
        thread.join()
        times.append(max(0.0, heard[0] - moved))
        waiter.close()
    return times


@contextmanager
def _waiting(url: str, told: str, count: int) -> Iterator[None]:
    """So many others wait, each again when it is answered, until the block ends and a promotion ends their waiting."""
    ended = threading.Event()

    def wait() -> None:
        client, state = HubClient(url), ""
        while not ended.is_set():
            state = json.loads(client.get(_STATE, after=state, seconds=20))["state"]

    threads = [threading.Thread(target=wait) for _ in range(count)]
    for each in threads:
        each.start()
    try:
        yield
    finally:
        ended.set()
        client = HubClient(told)
        version = 1
        while any(each.is_alive() for each in threads):
            version = 3 - version
            _promote(client, str(version))
            sleep(0.3)


def _idle_and_logging(url: str, process: psutil.Process, count: int) -> tuple[float, float]:
    """The share of a processor that the hub takes while nothing happens, and its processor seconds while so many
    metrics are logged, 200 a second."""
    client = HubClient(url)
    run_id = json.loads(client.post("runs/create", {"experiment_id": "0"}))["run"]["info"]["run_id"]
    sleep(1)
    before = cpu_seconds(process)
    sleep(_IDLE_SECONDS)
    idle = (cpu_seconds(process) - before) / _IDLE_SECONDS
    before = cpu_seconds(process)
    for number in range(count):
        client.post("runs/log-metric", {"run_id": run_id, "key": "m", "value": number, "timestamp": 1, "step": number})
        sleep(0.005)
    return idle, cpu_seconds(process) - before


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("build/bench-hub"))
    parser.add_argument("--only", nargs="+", default=["sqlite", "workers", "hubs"])
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--waiters", type=int, default=200)
    parser.add_argument("--logged", type=int, default=1000)
    parser.add_argument("--most", type=float, default=0.2, help="seconds that a promotion may be late by")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
