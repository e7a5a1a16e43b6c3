"""What is said of the program that logs."""

from __future__ import annotations

import getpass
import sys


def user_name() -> str:
    """Who runs it."""
    try:
        return getpass.getuser()
    except (ImportError, KeyError, OSError):  # a number that no name belongs to, as in containers
        return "unknown"


def context_tags() -> dict[str, str]:
    """As tags, which MLflow's client gives every run."""
    main = sys.argv[0] if sys.argv and sys.argv[0] else sys.executable
    return {"mlflow.user": user_name(), "mlflow.source.name": main, "mlflow.source.type": "LOCAL"}
