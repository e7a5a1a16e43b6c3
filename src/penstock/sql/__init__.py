"""The database of registry and tracking: engines for SQLite and PostgreSQL, the tables, one chain of migrations."""
