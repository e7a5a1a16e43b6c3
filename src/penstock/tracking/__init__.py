"""Tracking: experiments, runs, params, metrics, tags, dataset inputs and logged models, as MLflow means them.

    from penstock import tracking

    tracking.set_tracking_uri("http://hub:5000")
    with tracking.start_run(run_name="first"):
        tracking.log_param("depth", 8)
        tracking.log_metric("loss", 0.3, step=1)

What programs log with is the fluent client, `penstock.fluent`, whose names are offered here and imported on use. The
rest of this folder are the stores. A store is read by methods and changed by values: every change is a `Write`, which
says what shall be true, was checked when it was made, and can be queued, grouped with others in one transaction, or
kept for later.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from penstock.fluent import *  # noqa: F403
    from penstock.stand_in import as_mlflow as as_mlflow


def __getattr__(name: str) -> Any:
    if not name.startswith("_"):
        from importlib import import_module

        if name == "as_mlflow":
            return import_module("penstock.stand_in").as_mlflow

        fluent = import_module("penstock.fluent")
        if name in fluent.__all__:
            found = globals()[name] = getattr(fluent, name)  # once: a training loop asks for it at every step
            return found
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    from importlib import import_module

    return sorted(["as_mlflow", *import_module("penstock.fluent").__all__])
