"""HTTP in front of the gateway: raw ASGI where it is hot, Starlette's routes around it."""
