"""The tracking store in memory: for tests, and the plain reading of the rules that the tables must keep."""
