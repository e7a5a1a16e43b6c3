"""Several processes that serve one store, and the supervisor that keeps them running."""
