"""The registry of a Penstock hub, over the hub's own REST."""
