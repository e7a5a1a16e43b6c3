"""The python_function flavor: models from code, and what MLflow's own Python models are."""
