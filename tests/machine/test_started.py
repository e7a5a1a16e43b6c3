"""When this process started, as files are dated."""

from __future__ import annotations

import time
from pathlib import Path

from penstock.machine.started import process_started


def test_a_process_started_before_it_asked_and_before_what_it_writes(tmp_path: Path) -> None:
    (tmp_path / "new").touch()
    started = process_started()
    assert time.time() - 24 * 3600 < started < (tmp_path / "new").stat().st_mtime
    assert process_started() == started
