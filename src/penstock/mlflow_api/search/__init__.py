"""MLflow's search grammar: filters and orders as trees, what they match, and page tokens.

`parse` makes trees of texts by the tables in `entities`; `matching` says what a tree means, over plain values; a store
that has a database translates the same trees. Nothing here knows how anything is stored.
"""
