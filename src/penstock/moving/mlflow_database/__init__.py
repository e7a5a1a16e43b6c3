"""MLflow's database as a source of imports: SQLite, PostgreSQL and MySQL, of any release from 1.x on."""
