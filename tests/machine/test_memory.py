"""The memory of the machine, and a model process's share of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from penstock.machine.memory import machine_memory, process_memory

GIB = 1024**3


def test_a_container_has_what_its_limit_says(tmp_path: Path) -> None:
    (tmp_path / "max").write_text(f"{GIB}\n")
    (tmp_path / "none").write_text("max\n")
    assert machine_memory([tmp_path / "none", tmp_path / "max"]) == GIB
    machine = machine_memory([tmp_path / "none", tmp_path / "missing"])
    assert machine is not None
    assert machine > GIB


@pytest.mark.parametrize(("machine", "share"), [(64 * GIB, 32 * GIB), (GIB, GIB), (None, 0)])
def test_a_process_has_half_and_no_less_than_libraries_need(machine: int | None, share: int) -> None:
    assert process_memory(machine) == share
