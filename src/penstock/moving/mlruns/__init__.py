"""A directory that MLflow's file store has written: `mlruns`."""
