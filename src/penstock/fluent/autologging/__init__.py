"""Autologging: scikit-learn's `fit` logs what it was given and what came of it, as MLflow's does.

Only the outermost `fit` logs: those that a pipeline or a search makes inside are its own affair. Whatever goes wrong
with logging is a warning, and never an error of `fit`.
"""
