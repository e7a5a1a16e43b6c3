"""Models: packaged, logged as an entity of the server where it has such, registered, and found again."""
