"""Writing what was imported: objects with the ids, times and states that they had elsewhere, many in one go."""
