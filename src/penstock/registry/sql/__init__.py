"""The registry in SQL tables, the same statements on SQLite and PostgreSQL."""
