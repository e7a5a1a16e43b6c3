"""Settings to objects: gateways, workers and observers put together."""
