"""Splines, which compiled code evaluates between as many knots as coefficients and degree ask for."""

from __future__ import annotations

from typing import Any

import numpy as np

from penstock.flavors.sklearn.array_checks.refusal import Attributes, refused, shape_of


def check_spline(spline: Any, attributes: Attributes) -> None:
    knots, coefficients, degree = spline.t, spline.c, spline.k
    if not isinstance(degree, (int, np.integer)) or degree < 0 or shape_of(knots)[1:] or not len(coefficients):
        raise refused(spline, "has no degree, knots or coefficients")
    if len(knots) < len(coefficients) + degree + 1 or len(coefficients) < degree + 1:
        raise refused(spline, "has fewer knots than its coefficients need")
    if not np.isfinite(knots).all() or (np.diff(knots) < 0).any():
        raise refused(spline, "has knots that are not in order")
