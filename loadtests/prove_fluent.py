"""make prove-fluent: training programs that are killed at random moments lose what they logged in the last 0.2 s at most.

Each round a program logs to a hub, which answers all the time, is killed, hangs, or is killed and started again meanwhile;
the program is killed (SIGKILL) at a random moment, and `penstock runs sync` sends what it left. Then every point must be
there once and without a gap up to one that was logged 0.2 s before the kill or later. After that, programs that end in
other ways must have lost nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from time import monotonic, sleep
from typing import Any

from fluent_endings import ENDINGS, Ending
from hub_client import HubClient
from hub_process import PENSTOCK, free_port

_HERE = Path(__file__).resolve().parent
_ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
_AT_RISK = 0.2
_WEATHER = ("answers", "is killed", "hangs", "is killed and back")


class RestartedHub:
    """A hub on one port, killed and started again on the same store."""

    def __init__(self, directory: Path) -> None:
        self._port = free_port()
        self._command = [PENSTOCK, "hub", "--store", str(directory / "store"), "--port", str(self._port)]
        self.url = f"http://127.0.0.1:{self._port}"
        self.start()

    def start(self) -> None:
        self._process = subprocess.Popen(
            self._command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=_ENVIRONMENT, text=True
        )
        assert self._process.stdout is not None
        if not self._process.stdout.readline().startswith("serving on "):
            raise RuntimeError("the hub did not start")

    def kill(self) -> None:
        self._process.kill()
        self._process.communicate()

    def hang(self) -> None:
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """In whatever state it is."""
        if self._process.poll() is not None:
            self.start()
        self._process.send_signal(signal.SIGCONT)

    def ask(self, path: str, **query: Any) -> Any:
        client = HubClient(self.url)
        try:
            return json.loads(client.get(path, **query))
        finally:
            client.close()

    def steps(self, run_id: str, key: str) -> list[tuple[int, float]]:
        """(step, value) of all points there are, as the hub has them."""
        points = self.ask("metrics/get-history", run_id=run_id, metric_key=key).get("metrics", [])
        return [(int(point.get("step", 0)), float(point["value"])) for point in points]


def main() -> int:
    options = _options()
    rng = random.Random(options.seed)
    faults = 0
    longest = 0.0
    with tempfile.TemporaryDirectory(prefix="prove-fluent-") as place:
        hub = RestartedHub(Path(place))
        environment = {**_ENVIRONMENT, "MLFLOW_TRACKING_URI": hub.url, "PENSTOCK_SPOOL": f"{place}/spool"}
        try:
            for number in range(options.kills):
                weather = _WEATHER[number % len(_WEATHER)]
                logged, killed = _killed(hub, weather, environment, rng)
                found, lost = _verdict(hub, environment, logged, killed)
                faults += len(found)
                longest = max(longest, lost)
                told = "; ".join(found) or f"{len(logged)} steps, lost those of the last {1000 * lost:.0f} ms"
                print(f"kill {number + 1} of {options.kills}, the hub {weather}: {told}", flush=True)
            for ending in ENDINGS:
                found = _ended(hub, ending, environment)
                faults += len(found)
                print(f"{ending.name}: {'; '.join(found) or 'nothing is lost'}", flush=True)
        finally:
            hub.kill()
    print(
        f"{options.kills} kills, at most {1000 * longest:.0f} ms lost; {len(ENDINGS)} other ends; {faults} faults "
        f"(seed {options.seed})"
    )
    return 1 if faults else 0


def _killed(
    hub: RestartedHub, weather: str, environment: dict[str, str], rng: random.Random
) -> tuple[list[tuple[str, int, float]], float]:
    """What a program said that it logged, and when it was killed."""
    command = [sys.executable, str(_HERE / "killed_loop.py"), str(rng.choice((0, 1, 5, 30)))]
    said = Path(environment["PENSTOCK_SPOOL"]).with_name("said")  # a pipe would hold up a quick program
    with said.open("wb") as out:
        program = subprocess.Popen(command, stdout=out, stderr=subprocess.DEVNULL, env=environment)
    while not said.stat().st_size and program.poll() is None:
        sleep(0.001)
    sleep(rng.uniform(0.1, 0.8))
    if weather == "hangs":
        hub.hang()
    elif weather != "answers":
        hub.kill()
    if weather == "is killed and back":
        hub.start()
    sleep(rng.uniform(0.0, 0.8))
    killed = monotonic()
    program.kill()
    program.wait()
    hub.go_on()
    whole = [line.split() for line in said.read_text().splitlines()]
    return [(cells[0], int(cells[1]), float(cells[2])) for cells in whole if len(cells) == 3], killed


def _verdict(
    hub: RestartedHub, environment: dict[str, str], logged: list[tuple[str, int, float]], killed: float
) -> tuple[list[str], float]:
    """Faults, and the seconds before the kill of which something is lost."""
    faults = _synced(environment)
    run_id = logged[0][0]
    steps = hub.steps(run_id, "step")
    if steps != [(step, step) for step in range(len(steps))]:
        faults.append(f"the {len(steps)} points are not the first ones, each once")
    lost = [at for _, step, at in logged if step >= len(steps)]
    seconds = killed - lost[0] if lost else 0.0
    if seconds > _AT_RISK:
        faults.append(f"lost what was logged {1000 * seconds:.0f} ms before the kill")
    tens = range(0, len(steps), 10)
    if hub.steps(run_id, "half") not in ([(ten, ten / 2) for ten in tens[:count]] for count in (len(tens), -1)):
        faults.append("points that were logged together are not there together")
    run = hub.ask("runs/get", run_id=run_id)["run"]
    tags = {tag["key"]: tag["value"] for tag in run["data"].get("tags", [])}
    if tags.get("at") not in {str(ten) for ten in tens[-2:]}:
        faults.append(f"the tag is {tags.get('at')}, not {tens[-1]}")
    return faults, seconds


def _synced(environment: dict[str, str]) -> list[str]:
    """Sends what lies in the spool."""
    done = subprocess.run(
        [PENSTOCK, "runs", "sync"], env=environment, capture_output=True, text=True, check=False, timeout=120
    )
    left = list(Path(environment["PENSTOCK_SPOOL"]).glob("*"))
    return [f"penstock runs sync: {done.stdout} {done.stderr}"] if done.returncode or left or done.stderr else []


def _ended(hub: RestartedHub, ending: Ending, environment: dict[str, str]) -> list[str]:
    """What is wrong after a program ended in its way."""
    program = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", ending.program],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment, text=True,
    )  # fmt: skip
    assert program.stdout is not None
    run_id = program.stdout.readline().strip()
    if ending.interrupted:
        program.stdout.readline()
        program.send_signal(signal.SIGINT)
    try:
        said = program.communicate(timeout=60)[1]
    finally:
        with suppress(ProcessLookupError):
            program.kill()
    faults = _synced(environment)
    for key, count in ending.points.items():
        steps = hub.steps(run_id, key)
        if sorted(steps) != [(step, step) for step in range(count)]:
            faults.append(f"{len(steps)} of {count} points of {key!r}")
    status = hub.ask("runs/get", run_id=run_id)["run"]["info"]["status"]
    if status != ending.status:
        faults.append(f"it is {status}, not {ending.status}")
    if said.count(ending.says) != (1 if ending.says else said.count("")):
        faults.append(f"it said {said!r}")
    return faults


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10_000))
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
