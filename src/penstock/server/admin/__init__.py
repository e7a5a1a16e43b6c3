"""What operators and tools ask: models, probes, OpenAPI, docs."""
