"""The four GraphQL queries that MLflow's own web page asks. No other is answered: REST has everything."""
