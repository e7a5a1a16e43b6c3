"""What is told of requests that were answered: access log, tracing."""
