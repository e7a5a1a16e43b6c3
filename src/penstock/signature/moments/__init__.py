"""Dates and times: the one rule that reads them (`rule`), and what is told of those that are none (`faults`)."""

from penstock.signature.moments.faults import OUT_OF_RANGE, why_no_moment
from penstock.signature.moments.rule import (
    EPOCH_UNITS,
    check_moments,
    finer_than_nanoseconds,
    moments_of_numbers,
    moments_of_texts,
    read_moment,
)

__all__ = [
    "EPOCH_UNITS",
    "OUT_OF_RANGE",
    "check_moments",
    "finer_than_nanoseconds",
    "moments_of_numbers",
    "moments_of_texts",
    "read_moment",
    "why_no_moment",
]
