"""Diabetes progression a year ahead, with an interval, reasons, and a warning for inputs unlike those it learned from.

Each row is answered from that row alone, in an order of additions that does not depend on the rows beside it, so the
package may say `batchable=True`: requests of several callers are then predicted together.
"""

import json
import math
from pathlib import Path

import numpy as np
import pandas as pd

REASONS = 3


class ProgressionModel:
    """A linear regression with split-conformal intervals (Lei et al., "Distribution-Free Predictive Inference for
    Regression", 2018)."""

    def load(self, context):
        """Reads the artifact `facts`, which train.py wrote: plain numbers, no pickle."""
        facts = json.loads(Path(context.artifacts["facts"]).read_text(encoding="utf-8"))
        self.features = np.array(facts["features"])
        self.average_progression = facts["average_progression"]
        for name in ("average", "slope", "lowest", "highest", "errors"):
            setattr(self, name, np.array(facts[name]))

    def predict(self, inputs, params):
        """A frame of the ten measurements in; a row out for each row in:

        progression       the prediction, on the study's scale (25 to 346)
        lower, upper      where the true value lies with the probability of the param `interval` (default 0.9)
        reasons           the measurements that moved it most from the average patient, and by how much
        out_of_range      whether a measurement lies outside all that the model learned from

        A missing measurement counts as the average. Raises ValueError for an interval that the data cannot support.
        """
        rows = np.ascontiguousarray(inputs[self.features], dtype=np.float64)
        moved = (np.where(np.isnan(rows), self.average, rows) - self.average) * self.slope
        progression = self.average_progression + moved.sum(axis=1)
        margin = self.margin(params.get("interval", 0.9))
        return pd.DataFrame(
            {
                "progression": progression,
                "lower": progression - margin,
                "upper": progression + margin,
                "reasons": [self.reasons(row) for row in moved],
                "out_of_range": ((rows < self.lowest) | (rows > self.highest)).any(axis=1),
            }
        )

    def margin(self, interval):
        """Half the interval's width: the calibration error of rank ceil((n + 1) × interval)."""
        count = len(self.errors)
        rank = math.ceil((count + 1) * interval) if 0 < interval < 1 else 0
        if not 1 <= rank <= count:
            raise ValueError(f"interval must lie between 0 and {count / (count + 1):.3f}, not {interval}")
        return self.errors[rank - 1]

    def reasons(self, moved):
        """For example: body_mass_index +31.2, log_triglycerides -12.0, age +0.3."""
        most = np.argsort(-np.abs(moved), kind="stable")[:REASONS]
        return ", ".join(f"{self.features[i]} {moved[i]:+.1f}" for i in most)
