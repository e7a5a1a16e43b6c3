"""Several worker processes that serve the same versions."""
