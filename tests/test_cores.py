"""The share of the machine that each of several processes may use."""

from __future__ import annotations

import os

import pytest

from penstock.cores import environment_with_threads, quota_of, threads_each, usable_cores


@pytest.mark.parametrize(
    ("line", "cores"),
    [("max 100000", None), ("100000 100000", 1), ("150000 100000\n", 2), ("400000 100000", 4), ("10000 100000", 1)],
)
def test_a_containers_limit(line: str, cores: int | None) -> None:
    assert quota_of(line) == cores


def test_there_is_a_core() -> None:
    assert 1 <= usable_cores() <= (os.cpu_count() or 1)


@pytest.mark.parametrize(("cores", "workers", "threads"), [(8, 2, 4), (8, 3, 2), (2, 2, 1), (2, 16, 1), (1, 2, 1)])
def test_cores_are_shared_out(cores: int, workers: int, threads: int) -> None:
    assert threads_each(cores, workers) == threads


def test_thread_pools_are_limited_unless_the_user_says_otherwise() -> None:
    made = environment_with_threads({"PATH": "/bin", "MKL_NUM_THREADS": "7"}, 2)
    assert made["PATH"] == "/bin"
    assert made["OMP_NUM_THREADS"] == made["OPENBLAS_NUM_THREADS"] == "2"
    assert made["MKL_NUM_THREADS"] == "7"
