"""Points of series: rows, packed chunks, and the way from one to the other."""
