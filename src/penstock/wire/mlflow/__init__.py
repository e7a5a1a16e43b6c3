"""MLflow's scoring protocol: bodies to payloads, payloads to answers."""
