"""Tracking: experiments, runs, params, metrics, tags, dataset inputs and logged models, as MLflow means them.

A store is read by methods and changed by values: every change is a `Write`, which says what shall be true, was checked
when it was made, and can be queued, grouped with others in one transaction, or kept for later.
"""
