"""Sizes as people write them."""

from __future__ import annotations

import subprocess
import sys

import pytest

from penstock.config import load_settings
from penstock.errors import ConfigError
from penstock.sizes import parse_size, shown_size


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0), (1048576, 1048576), ("1048576", 1048576), ("12B", 12), ("500MB", 5 * 10**8), ("500 mb", 5 * 10**8),
        ("2GiB", 2 * 1024**3), ("2Gi", 2 * 1024**3), ("1.5GiB", 3 * 1024**3 // 2), ("1T", 10**12), (" 3k ", 3000),
        ("9007199254740993", 9007199254740993),
    ],
)  # fmt: skip
def test_sizes_are_read_with_their_units(text: str | int, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "much", "-1", "1e9", "5 apples", "GiB", "1,000", "0x10", "1.2.3MB", "inf"])
def test_text_that_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="no size"):
        parse_size(text)


def test_sizes_are_shown_to_people_with_units() -> None:
    assert [shown_size(n) for n in (0, 999, 1000, 10 * 1024**3)] == ["0 B", "999 B", "1.0 kB", "10.7 GB"]


def test_a_setting_may_be_a_size_with_units() -> None:
    assert load_settings({}, {})[0].cache_size == 10 * 1024**3
    assert load_settings({}, {"PENSTOCK_CACHE_SIZE": "5GB"})[0].cache_size == 5 * 10**9
    assert load_settings({"cache_size": "2GiB"}, {})[0].cache_size == 2 * 1024**3
    for wrong in ("lots", "-1", -1):
        with pytest.raises(ConfigError, match="cache_size"):
            load_settings({"cache_size": wrong}, {})


def test_a_flag_that_is_no_size_is_refused() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "penstock", "serve", "./absent/model", "--cache-size", "lots", "--port", "0"],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 2
    assert "The setting cache_size (--cache-size) cannot be 'lots'" in done.stderr
    assert "Traceback" not in done.stderr
