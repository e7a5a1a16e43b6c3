"""A running MLflow server, or a hub: what its REST tells."""
