"""Chunks of rows to answers."""
