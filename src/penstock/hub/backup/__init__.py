"""Backups of a hub's store: a manifest names what it holds by digest, so that backups in one place share what is the
same, and one is there as soon as its manifest is."""
