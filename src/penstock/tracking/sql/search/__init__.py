"""Searches in MLflow's grammar as SQL."""
