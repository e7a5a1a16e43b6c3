"""make bench-hub-artifacts: a large artifact through `penstock hub` both ways, beside a plain copy on the same disk.

The client is urllib3 in the way of MLflow's: PUT with a file for a body, GET read a megabyte at a time into a file. A
copy and an upload count as done when they are on disk (fsync); a download as the client does it, without. Then some
dozens of clients read the same file slowly, while runs are logged: what does a request take, and what does the hub hold.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median, quantiles
from time import perf_counter, sleep

import psutil
import urllib3
from hub_client import HubClient

_MB = 1_000_000
_MOST_HELD = 60.0  # MB above the idle hub
_LEAST_RATE = 0.5  # of a plain copy
_MOST_WAIT = 5.0  # a request beside slow clients may take so many times what it takes alone, at the 95th percentile
_ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def main() -> int:
    options = _options()
    options.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="bench-artifacts-", dir=options.out) as made:
        place = Path(made)
        source = _random_file(place / "source", options.megabytes)
        with _hub(place) as (url, process):
            idle = _held(process)
            target = f"{url}/api/2.0/mlflow-artifacts/artifacts/0/run/artifacts/source"
            held = 0.0
            copies: list[float] = []
            ups: list[float] = []
            downs: list[float] = []
            for number in range(options.rounds):
                copies.append(_rate(options, lambda: _copy(source, place / "copy"))[0])
                for rates, work in ((ups, lambda: _put(target, source)), (downs, lambda: _get(target, place / "got"))):
                    rate, peak, cpu = _rate(options, work, process)
                    rates.append(rate)
                    held = max(held, peak - idle)
                    print(f"round {number + 1}: {rate:,.0f} MB/s, hub's CPU {cpu:.2f} s", flush=True)
            if not _same(source, place / "got"):
                print("what came back is not what was sent")
                return 1
            (place / "got").unlink()
            alone = _requests(url, options.requests)
            with _slow_clients(target, options.slow):
                beside = _requests(url, options.requests)
                slow_held = _held(process) - idle
    copy, up, down = median(copies), median(ups), median(downs)
    rows = [
        ("plain copy, MB/s", copy, True),
        (f"upload, MB/s ({up / copy:.2f} of the copy, wanted {_LEAST_RATE})", up, up >= _LEAST_RATE * copy),
        (f"download, MB/s ({down / copy:.2f} of the copy, wanted {_LEAST_RATE})", down, down >= _LEAST_RATE * copy),
        (f"held above the idle hub, MB (at most {_MOST_HELD:g})", held, held <= _MOST_HELD),
        ("log-metric alone, p95 in ms", alone, True),
        (f"the same beside {options.slow} slow downloads", beside, beside <= max(_MOST_WAIT * alone, 20.0)),
        (f"held beside them, MB (at most {_MOST_HELD:g})", slow_held, slow_held <= _MOST_HELD),
    ]
    table = "\n".join(["| measured | hub | reached |", "|---|---|---|"])
    table += "".join(f"\n| {name} | {value:,.1f} | {'yes' if good else 'no'} |" for name, value, good in rows)
    (options.out / "artifacts.md").write_text(table + "\n")
    print(f"\n{table}")
    return 0 if all(good for *_, good in rows) else 1


def _rate(
    options: argparse.Namespace, work: Callable[[], None], process: psutil.Process | None = None
) -> tuple[float, float, float]:
    """MB a second, the most that the hub held meanwhile, and the seconds of processor time that it took."""
    peak, stopped = 0.0, threading.Event()

    def watch() -> None:
        nonlocal peak
        while process is not None and not stopped.wait(0.02):
            peak = max(peak, _held(process))

    watcher = threading.Thread(target=watch)
    watcher.start()
    cpu = 0.0 if process is None else sum(process.cpu_times()[:2])
    began = perf_counter()
    work()
    seconds = perf_counter() - began
    stopped.set()
    watcher.join()
    return options.megabytes / seconds, peak, 0.0 if process is None else sum(process.cpu_times()[:2]) - cpu


def _copy(source: Path, target: Path) -> None:
    shutil.copyfile(source, target)
    with target.open("rb+") as file:
        os.fsync(file.fileno())
    target.unlink()


def _put(url: str, source: Path) -> None:
    with source.open("rb") as body:
        answer = urllib3.request(
            "PUT", url, body=body, headers={"Content-Length": str(source.stat().st_size)}, timeout=300
        )
    assert answer.status == 200, answer.data[:300]


def _get(url: str, target: Path) -> None:
    answer = urllib3.request("GET", url, preload_content=False, timeout=300)
    assert answer.status == 200
    with target.open("wb") as file:
        for piece in answer.stream(1 << 20):
            file.write(piece)
    answer.release_conn()


def _requests(url: str, count: int) -> float:
    """The 95th percentile of log-metric in milliseconds."""
    client = HubClient(url)
    run_id = str(_run_id(client))
    seconds = []
    for step in range(count):
        began = perf_counter()
        client.post("runs/log-metric", {"run_id": run_id, "key": "m", "value": 1, "timestamp": 1, "step": step})
        seconds.append(perf_counter() - began)
    client.close()
    return 1000 * quantiles(seconds, n=20)[-1]


def _run_id(client: HubClient) -> str:
    made = client.post("runs/create", {"experiment_id": "0", "start_time": 1})
    return str(json.loads(made)["run"]["info"]["run_id"])


@contextmanager
def _slow_clients(url: str, count: int) -> Iterator[None]:
    """Clients that read 64 KB ten times a second each."""
    stopped = threading.Event()

    def read() -> None:
        answer = urllib3.request("GET", url, preload_content=False, timeout=60)
        while not stopped.wait(0.1):
            answer.read(65536)
        answer.close()

    threads = [threading.Thread(target=read) for _ in range(count)]
    for thread in threads:
        thread.start()
    sleep(1.0)
    try:
        yield
    finally:
        stopped.set()
        for thread in threads:
            thread.join()


@contextmanager
def _hub(place: Path) -> Iterator[tuple[str, psutil.Process]]:
    command = [str(Path(sys.executable).with_name("penstock")), "hub", "--store", str(place / "store"), "--port", "0"]
    hub = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=_ENVIRONMENT, text=True)
    assert hub.stdout is not None
    try:
        line = hub.stdout.readline()
        if not line.startswith("serving on "):
            raise RuntimeError(f"the hub did not start: {line}")
        url = line.removeprefix("serving on ").strip()
        HubClient(url).get("experiments/get", experiment_id="0")
        yield url, psutil.Process(hub.pid)
    finally:
        hub.terminate()
        hub.communicate(timeout=30)


def _held(process: psutil.Process) -> float:
    return float(process.memory_info().rss) / _MB


def _random_file(path: Path, megabytes: int) -> Path:
    block = os.urandom(_MB)
    with path.open("wb") as file:
        for number in range(megabytes):
            file.write(number.to_bytes(8, "big") + block[8:])
        os.fsync(file.fileno())
    return path


def _same(one: Path, other: Path) -> bool:
    with one.open("rb") as first, other.open("rb") as second:
        while True:
            here, there = first.read(_MB), second.read(_MB)
            if here != there:
                return False
            if not here:
                return True


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("build/bench-hub"))
    parser.add_argument("--megabytes", type=int, default=2147)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--slow", type=int, default=48, help="clients that download slowly")
    parser.add_argument("--requests", type=int, default=300, help="requests to log-metric beside them")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
