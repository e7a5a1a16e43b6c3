"""What was logged, on its way: a queue in memory, a segment of the spool on disk, and delivery to who keeps runs."""
