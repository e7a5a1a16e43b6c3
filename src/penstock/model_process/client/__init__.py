"""The gateway's side of a model process: starting one, and asking it."""
