"""Forms of answers that scikit-learn itself has no method for."""
