"""What memory there is to have: the machine's, or less where a container has a limit."""

from __future__ import annotations

from pathlib import Path

from penstock.machine.available_memory import available_bytes


def machine(place: Path, available: int | None = 8 << 20) -> Path:
    meminfo = place / "meminfo"
    line = "" if available is None else f"MemAvailable:    {available} kB\n"
    meminfo.write_text(f"MemTotal:       16777216 kB\nMemFree:         1 kB\n{line}")
    return meminfo


def test_a_machine_without_a_limit(tmp_path: Path) -> None:
    assert available_bytes(machine(tmp_path), tmp_path) == 8 << 30
    (tmp_path / "memory.max").write_text("max\n")
    assert available_bytes(machine(tmp_path), tmp_path) == 8 << 30


def test_a_container_has_what_its_limit_leaves_and_what_it_only_cached(tmp_path: Path) -> None:
    (tmp_path / "memory.max").write_text(f"{1 << 30}\n")
    (tmp_path / "memory.current").write_text(f"{600 << 20}\n")
    (tmp_path / "memory.stat").write_text(f"anon 1\ninactive_file {100 << 20}\n")
    assert available_bytes(machine(tmp_path), tmp_path) == 524 << 20
    assert available_bytes(machine(tmp_path, available=1024), tmp_path) == 1 << 20


def test_the_same_under_cgroups_of_the_first_kind(tmp_path: Path) -> None:
    root = tmp_path / "memory"
    root.mkdir()
    (root / "memory.limit_in_bytes").write_text(f"{1 << 30}\n")
    (root / "memory.usage_in_bytes").write_text(f"{1 << 31}\n")
    (root / "memory.stat").write_text("total_inactive_file 0\n")
    assert available_bytes(machine(tmp_path), tmp_path) == 0


def test_a_system_that_does_not_say_leaves_it_unknown(tmp_path: Path) -> None:
    assert available_bytes(tmp_path / "absent", tmp_path) is None
    assert available_bytes(machine(tmp_path, available=None), tmp_path) is None
