"""The hub's own REST for the registry, beside MLflow's: all that `Registry` can do."""
