"""MLflow's REST API, as its clients and servers speak it."""
