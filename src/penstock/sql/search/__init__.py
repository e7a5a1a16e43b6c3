"""Searches in MLflow's grammar as SQL, for the tables of tracking and of the registry."""
