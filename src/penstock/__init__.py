"""Penstock serves packaged models."""

__version__ = "0.1.0"
