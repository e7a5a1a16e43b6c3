"""Observers of requests that were answered: access log and tracing."""
