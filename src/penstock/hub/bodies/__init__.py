"""Bodies of requests to the hub: held in bounded memory, and read."""
