"""How calls reach who keeps runs: a server over HTTP, or a store in this process. Both speak MLflow's REST."""
