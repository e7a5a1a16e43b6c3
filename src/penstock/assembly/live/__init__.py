"""Models that are added, removed and changed in the settings file while the server runs."""
