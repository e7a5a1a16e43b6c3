"""What any HTTP server of ours needs, and no model: run and drain, bodies, connections, events, workers."""
