"""How long an event loop waits while a package loads in a thread beside it, is closed, and is tidied up after: for
loading.py. Prints one JSON object: for each step its seconds, and the longest waits in milliseconds.

    python loadtests/loop_alone.py PACKAGE LIGHT [--hard]

The loop wakes every millisecond. `own` counts of each wait no more than the processor time that this process used in
it: what other processes on the machine take does not count, so the figure means something on a busy machine as well.
`--hard` loads without the rests that serving takes. LIGHT is a package that is there already, as in a server.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Awaitable
from functools import partial
from pathlib import Path
from time import perf_counter, process_time

from penstock.cli.serve import keep_memory_together
from penstock.http.run import _SWITCH_SECONDS
from penstock.loading import LoadOptions, load_path
from penstock.machine.throttle import throttled
from penstock.serving.garbage import settle
from penstock.serving.swap.target import load_beside


class Watch:
    """A loop that wakes every millisecond, and how late it did."""

    def __init__(self) -> None:
        self._waits: list[tuple[float, float]] = []  # the process's own processor time in it, seconds by the clock

    async def tick(self) -> None:
        now, used = perf_counter(), process_time()
        while True:
            await asyncio.sleep(0.001)
            before, used_before, now, used = now, used, perf_counter(), process_time()
            self._waits.append((min(now - before, used - used_before), now - before))

    async def step(self, work: Awaitable[object]) -> dict[str, float]:
        self._waits.clear()
        begin = perf_counter()
        await work
        seconds = perf_counter() - begin
        await asyncio.sleep(0.005)
        own, wall = (max(column) * 1e3 for column in zip(*self._waits, strict=True))
        return {"seconds": round(seconds, 3), "own": round(own, 1), "wall": round(wall, 1)}


async def measure(package: Path, light: Path, hard: bool) -> dict[str, dict[str, float]]:
    options = LoadOptions(trust_code=True)
    await asyncio.to_thread(load_path, light, options)
    settle()
    watch = Watch()
    ticking = asyncio.create_task(watch.tick())
    held = []

    def load() -> None:
        held.append(
            load_beside(not hard, partial(load_path, options=LoadOptions(trust_code="pickle" in package.name)), package)
        )

    def close() -> None:
        with throttled():
            held.pop().close()

    async def tidy(thaw: bool) -> None:
        settle(thaw=thaw)

    await asyncio.sleep(0.05)
    found = {
        "load": await watch.step(asyncio.to_thread(load)),
        "close": await watch.step(asyncio.to_thread(close)),
        "tidy": await watch.step(tidy(False)),
        "thaw": await watch.step(tidy(True)),
    }
    ticking.cancel()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("package", type=Path)
    parser.add_argument("light", type=Path)
    parser.add_argument("--hard", action="store_true")
    options = parser.parse_args()
    import uvloop

    keep_memory_together()
    sys.setswitchinterval(_SWITCH_SECONDS)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        print(json.dumps(runner.run(measure(options.package, options.light, options.hard))))


if __name__ == "__main__":
    main()
