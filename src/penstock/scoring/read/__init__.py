"""Files to chunks of rows."""
