from __future__ import annotations

import pytest

from penstock.environments.locked import Lock, Pin, parse_lock
from penstock.errors import PackageInvalid

HASHES = tuple(f"sha256:{digit * 64}" for digit in "ab")
PINS = (
    Pin("alpha", "1.0", "", HASHES),
    Pin("numpy", "2.0", "python_full_version < '3.12'", HASHES[:1]),
    Pin("numpy", "2.1+cpu", "python_full_version >= '3.12'", HASHES[1:]),
)


def test_what_is_written_is_read_again() -> None:
    lock = Lock(PINS, "3.11", "f" * 64)
    assert parse_lock(lock.file) == lock
    assert parse_lock(lock.text) == Lock(PINS)
    assert lock.hashed
    assert not Lock((*PINS, Pin("beta", "1"))).hashed


@pytest.mark.parametrize(
    "line",
    [
        "alpha", "alpha>=1", "-e .", "--index-url https://evil.example", "alpha @ file:///x", "alpha==1 ; a @ https://x",
        "alpha==1 --hash=md5:aa", "alpha==1 --index-url=https://evil.example", "alpha==1 \\", "x==1; " + "y" * 600,
    ],
)  # fmt: skip
def test_nothing_but_pins_is_read(line: str) -> None:
    if line.endswith("\\"):
        assert parse_lock(line).pins == (Pin("alpha", "1"),)  # a lock that is cut off has no hashes
    else:
        with pytest.raises(PackageInvalid, match="invalid line"):
            parse_lock(f"{Lock(PINS).text}{line}\n")


def test_hashes_come_from_the_other_lock_for_the_same_versions() -> None:
    mine = Lock((Pin("alpha", "1.0", "", HASHES[:1]), Pin("beta", "1", "", HASHES)))
    other = Lock((Pin("alpha", "1.0", "", HASHES[1:]), Pin("beta", "2", "", HASHES[:1])))
    assert mine.with_hashes_of(other).pins == (Pin("alpha", "1.0", "", HASHES[1:]), Pin("beta", "1", "", HASHES))
