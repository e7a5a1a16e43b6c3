"""The hub: tracking, registry and artifacts over MLflow's REST, for the stock client. It never loads a model."""
