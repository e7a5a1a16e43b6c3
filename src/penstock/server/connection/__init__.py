"""Predictions answered inside the HTTP protocol, past ASGI."""
