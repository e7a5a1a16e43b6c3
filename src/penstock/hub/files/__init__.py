"""Artifacts as the hub hands them out and takes them in."""
