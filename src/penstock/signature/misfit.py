"""What a reader of cells raises."""

from __future__ import annotations


class Misfit(Exception):
    """This cell is not of this type; the text says why."""
