"""Datasets that runs took, as MLflow's `mlflow.data` has them: `from_pandas`, `from_numpy`."""

from penstock.fluent.data.datasets import from_numpy, from_pandas
from penstock.fluent.run_dataset import RunDataset

__all__ = ["RunDataset", "from_numpy", "from_pandas"]
