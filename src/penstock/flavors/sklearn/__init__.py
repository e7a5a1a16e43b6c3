"""The scikit-learn flavor: estimators from skops files or pickles."""
