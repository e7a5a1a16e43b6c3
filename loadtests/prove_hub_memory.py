"""make prove-hub-memory: the memory of a hub stays where it is under minutes of mixed work, on SQLite and on PostgreSQL.

Clients make runs, log to new and to old ones, change tags, search, read histories and charts, register versions, move
aliases, and send and fetch files. Every few seconds the memory of the hub's processes is noted, and that of the server's
own processes behind it on PostgreSQL. What is kept on purpose (connections with their pages, texts of runs) is there after
the first part; from then on, the line through what is left may not rise by more than --most MB a minute.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep

import psutil
from hub_client import HubClient
from hub_process import PENSTOCK, family, hub_process
from own_postgres import postgres

_EVERY_SECONDS = 5.0
_T0 = 1_700_000_000_000
_MODELS = 20


def main() -> int:
    options = _options()
    options.out.mkdir(parents=True, exist_ok=True)
    flat = [_measured(name, _STORES[name], options) for name in options.only]
    return 0 if all(flat) else 1


def _measured(
    name: str, store: Callable[[Path], Iterator[tuple[str, Path | None]]], options: argparse.Namespace
) -> bool:
    """Prints the samples, and says whether they stay flat."""
    with tempfile.TemporaryDirectory(prefix="hub-memory-", dir=options.out) as directory:
        place = Path(directory)
        with contextmanager(store)(place) as (url, data):
            files = ("--artifacts", str(place / "files"), "--workers", str(options.workers if name != "sqlite" else 1))
            with hub_process(place, url, *files) as (hub, process, _):
                samples, requests = _work(hub, process, data, options)
    late = [(at, own) for at, own, _ in samples if at >= options.minutes * 60 * options.settle]
    rise = _slope(late) * 60
    print(f"{name}: {requests:,} requests; memory of the hub rises by {rise:+.2f} MB a minute at the end", flush=True)
    return rise <= options.most


def _work(
    url: str, process: psutil.Process, data: Path | None, options: argparse.Namespace
) -> tuple[list[tuple[float, float, float]], int]:
    """Seconds, MB of the hub, MB of PostgreSQL's processes; and how many requests were answered."""
    ended, done, failed = threading.Event(), [0] * options.clients, list[BaseException]()
    pause = options.clients / options.rate

    def client(number: int) -> None:
        worker = Worker(HubClient(url), random.Random(number), number)
        try:
            while not ended.wait(pause):
                worker.step()
                done[number] += 1
        except BaseException as error:
            failed.append(error)

    _prepare(HubClient(url))
    threads = [threading.Thread(target=client, args=(number,)) for number in range(options.clients)]
    for each in threads:
        each.start()
    samples: list[tuple[float, float, float]] = []
    began = monotonic()
    while (at := monotonic() - began) < options.minutes * 60 and not failed:
        samples.append((at, _private_mb(family(process)), _private_mb(_server_of(data))))
        if len(samples) % 6 == 1:
            print(
                f"{at:5.0f} s  hub {samples[-1][1]:7.1f} MB  postgres {samples[-1][2]:7.1f} MB  {sum(done):,}",
                flush=True,
            )
        sleep(_EVERY_SECONDS)
    ended.set()
    for each in threads:
        each.join()
    if failed:
        raise failed[0]
    return samples, sum(done)


class Worker:
    """One client: each step is one request of a mix, on the runs that it made."""

    def __init__(self, client: HubClient, rng: random.Random, number: int) -> None:
        self._client = client
        self._rng = rng
        self._number = number
        self._runs: list[str] = []
        self._count = 0

    def step(self) -> None:
        self._count += 1
        if not self._runs:
            self._create()
            return
        doing = self._rng.choices(
            (
                self._create,
                self._batch,
                self._metric,
                self._tag,
                self._search,
                self._history,
                self._register,
                self._move,
            ),
            (4, 8, 30, 8, 6, 4, 1, 2),
        )[0]
        doing()

    def _create(self) -> None:
        told = {
            "experiment_id": "0",
            "start_time": _T0 + self._count,
            "tags": [{"key": "c", "value": f"{self._count}"}],
        }
        self._runs.append(json.loads(self._client.post("runs/create", told))["run"]["info"]["run_id"])
        if len(self._runs) > 200:
            self._client.post("runs/update", {"run_id": self._runs.pop(0), "status": "FINISHED", "end_time": _T0})

    def _run(self) -> str:
        return self._rng.choice(self._runs)

    def _batch(self) -> None:
        at = self._count
        metrics = [{"key": f"m{k % 20}", "value": at + k, "timestamp": _T0 + at, "step": at + k} for k in range(100)]
        params = [{"key": f"p{k}", "value": "the same again"} for k in range(3)]
        self._client.post("runs/log-batch", {"run_id": self._run(), "metrics": metrics, "params": params, "tags": []})

    def _metric(self) -> None:
        told = {"key": "loss", "value": self._rng.random(), "timestamp": _T0 + self._count, "step": self._count}
        self._client.post("runs/log-metric", {"run_id": self._run(), **told})

    def _tag(self) -> None:
        self._client.post("runs/set-tag", {"run_id": self._run(), "key": "note", "value": f"text {self._count}"})

    def _search(self) -> None:
        """The oldest runs: of the newest, other ones each time, the hub would go on filling its cache of 32 MB."""
        told = {"filter": f"metrics.loss > {self._rng.random():.6f}", "order_by": ["attributes.start_time ASC"]}
        self._client.post("runs/search", {"experiment_ids": ["0"], "max_results": 100, **told})

    def _history(self) -> None:
        self._client.get("metrics/get-history", run_id=self._run(), metric_key="loss", max_results=1000)

    def _register(self) -> None:
        told = {"name": f"model{self._rng.randrange(_MODELS)}", "source": f"s3://bucket/{self._number}/{self._count}"}
        self._client.post("model-versions/create", told)

    def _move(self) -> None:
        told = {"name": f"model{self._rng.randrange(_MODELS)}", "alias": "production", "version": "1"}
        self._client.post("registered-models/alias", told)


def _prepare(client: HubClient) -> None:
    for number in range(_MODELS):
        client.post("registered-models/create", {"name": f"model{number}"})
        client.post("model-versions/create", {"name": f"model{number}", "source": "s3://bucket/first"})
    client.close()


def _private_mb(processes: list[psutil.Process]) -> float:
    total = 0
    for each in processes:
        try:
            total += each.memory_full_info().uss
        except psutil.Error:  # it ended meanwhile
            continue
    return total / 1e6


def _server_of(data: Path | None) -> list[psutil.Process]:
    """The processes of the PostgreSQL that has its data there."""
    if data is None:
        return []
    return family(psutil.Process(int((data / "postmaster.pid").read_text().split()[0])))


def _slope(samples: list[tuple[float, float]]) -> float:
    """MB a second of the line through the samples (least squares)."""
    if len(samples) < 2:
        return 0.0
    middle = sum(at for at, _ in samples) / len(samples)
    mean = sum(mb for _, mb in samples) / len(samples)
    spread = sum((at - middle) ** 2 for at, _ in samples)
    return sum((at - middle) * (mb - mean) for at, mb in samples) / spread


def _sqlite(place: Path) -> Iterator[tuple[str, Path | None]]:
    yield str(place / "store"), None


def _postgresql(_: Path) -> Iterator[tuple[str, Path | None]]:
    with tempfile.TemporaryDirectory(prefix="pg-", ignore_cleanup_errors=True) as data, postgres(Path(data)) as url:
        subprocess.run([PENSTOCK, "hub", "--store", url, "migrate"], check=True)
        yield url, Path(data)


_STORES = {"sqlite": _sqlite, "postgresql": _postgresql}


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("build/bench-hub"))
    parser.add_argument("--only", nargs="+", choices=tuple(_STORES), default=list(_STORES))
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--settle", type=float, default=0.5, help="the share of the time that is not looked at")
    parser.add_argument("--most", type=float, default=1.0, help="MB a minute")
    parser.add_argument("--rate", type=float, default=400.0, help="requests a second, of all clients together")
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--workers", type=int, default=1, help="of the hub on PostgreSQL")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
