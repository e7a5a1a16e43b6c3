"""Waiting for changes, after a look that failed and with several who wait."""

from __future__ import annotations

import threading
import time

import pytest

from penstock.tracking.sql.change_watch import ChangeWatch


def test_a_look_that_failed_in_whatever_way_keeps_nobody_from_the_next() -> None:
    found: list[int | Exception] = [ValueError("odd"), 3]

    def read() -> int:
        now = found.pop(0)
        if isinstance(now, Exception):
            raise now
        return now

    watch = ChangeWatch(read)
    with pytest.raises(ValueError, match="odd"):
        watch.wait(2, 5.0)
    assert watch.wait(2, 0.5) == 3


def test_one_looks_for_all_who_wait() -> None:
    looks: list[int] = []
    changed = threading.Event()

    def read() -> int:
        looks.append(threading.get_ident())
        return 1 if changed.is_set() else 0

    watch = ChangeWatch(read)
    seen: list[int] = []
    waiting = [threading.Thread(target=lambda: seen.append(watch.wait(0, 30.0))) for _ in range(8)]
    for thread in waiting:
        thread.start()
    until = time.monotonic() + 30
    while not looks and time.monotonic() < until:
        time.sleep(0.001)
    changed.set()
    for thread in waiting:
        thread.join(30)
    assert seen == [1] * 8
