"""make prove-hub: a hub killed at random moments while clients log to it loses nothing that it answered.

Each round: four clients log points of their own, one request after another, and note what was answered 200; the hub is
killed (SIGKILL) at a random moment and started again on the same store; then every point that was answered must be there,
the latest value of each series must be one that was sent, and the database must pass its own check.

With --store postgresql://… and --workers, all processes of the hub are killed, in random order; the database goes on.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
from contextlib import closing
from pathlib import Path
from time import sleep

from hub_client import HubClient

_CLIENTS = 4
_PENSTOCK = str(Path(sys.executable).with_name("penstock"))
_ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def main() -> int:
    options = _options()
    rng = random.Random(options.seed)
    lost = points = 0
    with tempfile.TemporaryDirectory(prefix="prove-hub-") as place:
        store = options.store or str(Path(place) / "store")
        if options.store:
            subprocess.run([_PENSTOCK, "hub", "--store", store, "migrate"], check=True, env=_ENVIRONMENT)
        arguments = ["--store", store, "--artifacts", str(Path(place) / "files"), "--workers", str(options.workers)]
        answered: dict[str, list[int]] = {}
        for number in range(options.kills):
            hub, url = _start(arguments)
            lost += _missing(url, answered)
            _log_until_killed(hub, url, answered, rng)
            points = sum(map(len, answered.values()))
            print(f"kill {number + 1} of {options.kills}: {points} points answered, {lost} lost", flush=True)
        hub, url = _start(arguments)
        lost += _missing(url, answered)
        hub.send_signal(signal.SIGTERM)
        hub.communicate(timeout=30)
        sound = "ok" if options.store else _checked(Path(store) / "registry.db")
    print(f"{options.kills} kills, {points} points answered, {lost} lost, database {sound} (seed {options.seed})")
    return 0 if not lost and sound == "ok" and points else 1


def _checked(file: Path) -> str:
    """What the database says of itself."""
    with closing(sqlite3.connect(file)) as database:
        return str(database.execute("PRAGMA integrity_check").fetchone()[0])


def _start(arguments: list[str]) -> tuple[subprocess.Popen[str], str]:
    command = [_PENSTOCK, "hub", *arguments, "--port", "0"]
    hub = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=_ENVIRONMENT, text=True)
    assert hub.stdout is not None
    line = hub.stdout.readline()
    if not line.startswith("serving on "):
        raise RuntimeError(f"the hub did not start: {line}")
    return hub, line.removeprefix("serving on ").strip()


def _log_until_killed(hub: subprocess.Popen[str], url: str, answered: dict[str, list[int]], rng: random.Random) -> None:
    """Clients log to runs of their own until the hub is gone. `answered` grows by what was answered 200."""
    threads = [threading.Thread(target=_log, args=(url, answered)) for _ in range(_CLIENTS)]
    for thread in threads:
        thread.start()
    sleep(rng.uniform(0.05, 1.5))
    processes = [hub.pid, *map(int, Path(f"/proc/{hub.pid}/task/{hub.pid}/children").read_text().split())]
    for process in rng.sample(processes, len(processes)):
        os.kill(process, signal.SIGKILL)
    hub.communicate()
    for thread in threads:
        thread.join()


def _log(url: str, answered: dict[str, list[int]]) -> None:
    try:
        client = HubClient(url)
        made = client.post("runs/create", {"experiment_id": "0", "start_time": 1})
        run_id = str(json.loads(made)["run"]["info"]["run_id"])
        mine = answered.setdefault(run_id, [])
        for step in range(1_000_000):
            client.post(
                "runs/log-metric", {"run_id": run_id, "key": "m", "value": step, "timestamp": step, "step": step}
            )
            mine.append(step)
    except (OSError, RuntimeError):
        return


def _missing(url: str, answered: dict[str, list[int]]) -> int:
    """Points that were answered and are not there."""
    client = HubClient(url)
    missing = 0
    for run_id, steps in answered.items():
        found: set[int] = set()
        token = ""
        while True:
            query = {"run_id": run_id, "metric_key": "m", "max_results": 25_000}
            page = json.loads(client.get("metrics/get-history", **query, **({"page_token": token} if token else {})))
            found |= {point["step"] for point in page.get("metrics", ())}
            token = page.get("next_page_token", "")
            if not token:
                break
        missing += len(set(steps) - found)
    client.close()
    return missing


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=random.randrange(10_000))
    parser.add_argument("--store", default="", help="the URL of an empty database; SQLite without it")
    parser.add_argument("--workers", type=int, default=1)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
