"""The tracking store in SQL: the same statements on SQLite and PostgreSQL, where those differ through `dialect`."""
