"""The HTTP connection: a protocol with bounds."""
