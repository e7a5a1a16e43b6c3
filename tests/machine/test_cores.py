"""The share of the machine that each of several processes may use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from penstock.machine import cores as cores_module
from penstock.machine.cores import cgroup_cores, environment_with_threads, threads_each, usable_cores


@pytest.mark.parametrize(
    ("files", "limit", "usable"),
    [
        ({}, None, 8),
        ({"cpu.max": "max 100000"}, None, 8),
        ({"cpu.max": "100000 100000"}, 1, 1),
        ({"cpu.max": "150000 100000\n"}, 1.5, 2),
        ({"cpu.max": "400000 100000"}, 4, 4),
        ({"cpu.max": "10000 100000"}, 0.1, 1),
        ({"cpu.max": "1600000 100000"}, 16, 8),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, None, 8),
        ({"cpu/cpu.cfs_quota_us": "250000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 2.5, 3),
    ],
)
def test_cores_are_those_of_the_containers_limit(
    files: dict[str, str], limit: float | None, usable: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cpu").mkdir()
    for name, content in files.items():
        (tmp_path / name).write_text(content)
    assert cgroup_cores(tmp_path) == limit
    monkeypatch.setattr(cores_module, "cgroup_cores", lambda: limit)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    assert usable_cores() == usable


def test_at_least_one_core_is_usable() -> None:
    assert 1 <= usable_cores() <= (os.cpu_count() or 1)


@pytest.mark.parametrize(("cores", "workers", "threads"), [(8, 2, 4), (8, 3, 2), (2, 2, 1), (2, 16, 1), (1, 2, 1)])
def test_cores_are_shared_out(cores: int, workers: int, threads: int) -> None:
    assert threads_each(cores, workers) == threads


def test_thread_pools_are_limited_unless_the_user_says_otherwise() -> None:
    made = environment_with_threads({"PATH": "/bin", "MKL_NUM_THREADS": "7"}, 2)
    assert made["PATH"] == "/bin"
    assert made["OMP_NUM_THREADS"] == made["OPENBLAS_NUM_THREADS"] == "2"
    assert made["MKL_NUM_THREADS"] == "7"
