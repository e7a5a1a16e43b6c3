"""The hub's endpoints, a file for each noun of MLflow's REST. Each file ends in its rows of the table of routes."""
