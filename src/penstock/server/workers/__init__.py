"""The supervisor of `--workers N` and its workers."""
