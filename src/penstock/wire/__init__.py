"""Bytes to payloads and back. Pure functions: no sockets, no models, no frames."""
