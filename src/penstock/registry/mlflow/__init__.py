"""The registry of an MLflow tracking server, over HTTP."""
