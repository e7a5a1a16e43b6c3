"""Lean predict: what a fitted estimator computes, without the layers that scikit-learn puts around it.

Validation, tags, and a task for each tree cost more than the arithmetic of a small batch. Each file here has the
arithmetic of some estimators, operation by operation in scikit-learn's own order and partly by its own compiled code,
so that answers are the same bits. Estimators and versions that were reviewed stand in `reviewed`; and none is taken
without a proof at load (`proof`) that its answers are those of the estimator itself.
"""
